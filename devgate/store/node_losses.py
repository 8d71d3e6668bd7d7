"""Rows that the database has lost: how a node finds them, and writes them again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from devgate.errors import Fenced, StoreError
from devgate.store.engine import Database
from devgate.store.node_commits import Committed
from devgate.store.node_rows import NodeBatch
from devgate.store.nodes import Member
from devgate.store.recent import Recent
from devgate.store.rewriting import remembered, write_again
from devgate.store.timelines import A_LOOK, look, note, waits

log = logging.getLogger("devgate.store")


class LossLook(NamedTuple):
    """The result of a look."""

    beat: int  # of the last commit of this node that counts as confirmed
    why: StoreError | None = None  # why nothing may be written yet


class Losses:
    """Remembers the rows that a node has written. For one thread at a time."""

    def __init__(self, database: Database, member: Member, seen: Callable[[], int]) -> None:
        """`seen`: the number of the newest event of all nodes that this one has seen."""
        self._database = database
        self._member = member
        self._seen = seen
        self._recent = Recent(None)
        self._rewritten = False  # since the last commit

    def committed(self, batch: NodeBatch, done: Committed, clock_ahead: float, beat: int) -> None:
        """Remember a commit; `beat` is its number among those of this node."""
        self._recent.add(remembered(batch, done, clock_ahead), done.events, beat)
        done.rewritten, self._rewritten = self._rewritten, False

    def look(self, conn: Connection, beat: int, *, doubtful: bool) -> LossLook | None:
        """Look on a new session. `beat` is that of the last confirmed commit; `doubtful`: it is
        not known whether the commit after it was carried out.

        Returns the beat that counts as confirmed: by comparing the next one with it, the node
        finds out about that commit, as if there had been no look. None: this incarnation is dead,
        or its row does not exist.
        """
        member = self._member
        with conn.begin():
            found = look(
                conn, member.id, member.incarnation, beat, self._seen(), self._write_again
            )
        if found is None:
            return None
        carried_out = doubtful and found.before > beat and (found.before - beat) % A_LOOK == 1
        beat = found.beat - carried_out
        if found.lost:
            self._database.loss = found.lost
            return LossLook(beat, StoreError(found.lost))
        return LossLook(beat, waits(found.waits_for) if found.waits_for else None)

    def end(self) -> Exception:
        """Write what this node remembers, and return the error with which it ends: the row of its
        incarnation is lost, too."""
        try:
            with self._database.write() as conn:
                words = note(conn, self._write_again(conn, 0))
        except (StoreError, SQLAlchemyError) as err:
            return err
        self._database.loss = words
        return Fenced(words)

    def _write_again(self, conn: Connection, beat: int) -> str:
        """Write what is remembered behind this beat into a database that has lost rows. Returns
        why no start is accepted: a lost row may say that one was sent, or that its key is
        spent."""
        member = self._member
        count = write_again(conn, self._recent, beat, member.id, member.incarnation)
        self._rewritten = True
        log.error("the database lost rows, and they were written again rows=%s", count)
        return (
            f"the database lost commits of the node {member.id} that it had confirmed. What the "
            "nodes know of them is written again; no start is accepted until `devgate db "
            "confirm-loss`"
        )
