"""Which commands a node may write, and the results of its writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from devgate.store.node_commits import KEY_SPENT, MOVED, WRITTEN, Committed
from devgate.store.node_devices import Held, asks
from devgate.store.node_rows import STATE, CommandRow, NodeBatch, ends, later
from devgate.store.node_statements import array, insert_fresh, update_known
from devgate.store.nodes import Member
from devgate.store.numbering import Values
from devgate.store.trips import TripAnswer, Trips

_NOBODYS = "UPDATE presence SET node = NULL, incarnation = NULL WHERE imei = ANY($1::text[])"


class NodeCommands:
    """Writes rows of `command` for one node. The rows of `presence` must be locked before."""

    def __init__(self, member: Member) -> None:
        self._incarnation = member.incarnation

    def ask(self, trips: Trips, rows: Iterable[CommandRow], ahead: float) -> list[TripAnswer]:
        """Ask for these rows to be written. The answers are the ids of those that were.

        `ahead`: seconds that are added to their times. Another node that has the device next
        compares them with the database's clock.
        """
        fresh: list[Values] = []
        known: list[Values] = []
        ending: set[str] = set()
        for row in rows:
            values = later(row.values, ahead) if ahead else row.values
            (fresh if row.fresh else known).append(values)
            if ends(row):
                ending.add(row.values[0])
        answers = [insert_fresh(trips, fresh, self._incarnation)] if fresh else []
        return answers + (update_known(trips, known, ending, self._incarnation) if known else [])

    def allowed(self, row: CommandRow, held: Held, lost: str | None) -> bool:
        """Whether the command is to be written as it stands, and its device has a row: one that
        is not there is not locked."""
        return not asks(row) or (row.values[1] in held and self.refusal(row, held, lost) is None)

    def refusal(self, row: CommandRow, held: Held, lost: str | None) -> str | None:
        """Why the command may not be written as it stands. `lost`: why no start is accepted."""
        if not asks(row):
            return None
        online, incarnation, generation = held[row.values[1]]
        if row.values[STATE] == "sent":
            if lost is not None:
                return lost
            mine = online and incarnation == self._incarnation
            return None if mine and generation == row.generation else MOVED
        # A command may wait here only while no other node has the device.
        return MOVED if online and incarnation != self._incarnation else None

    def finish(
        self,
        trips: Trips,
        batch: NodeBatch,
        answers: Sequence[TripAnswer],
        held: Held,
        events: list[Values],
        done: Committed,
    ) -> None:
        """What became of the commands: adds their events to `events`, or to `done` why there are
        none."""
        there = {id for answer in answers for (id,) in answer.rows}
        nobodys = set()
        written: list[Values] = []
        for id, row in batch.commands.items():
            if id in there:
                written += row.events
                imei = row.values[1]
                waits = row.fresh and row.values[STATE] == "waiting"
                if waits and held[imei][1] != self._incarnation:
                    nobodys.add(imei)
            elif id not in done.refused:
                if row.fresh:
                    done.refused[id] = WRITTEN if row.values[STATE] == "ended" else KEY_SPENT
                else:
                    done.foreign[id] = row.ended
                    done.refused[id] = MOVED
            if (refused := done.refused.get(id)) is not None:
                done.fates += [(fate, refused) for fate in row.fates]
        # Of two changes of a command only the later row is written, and an event of another
        # command may be between their events.
        events += sorted(written, key=lambda event: batch.place(event))
        if nobodys:
            # The former node of the device does not know this command, and this node does not
            # know the open ones of that node: the next one that claims the device reads them.
            trips.ask(_NOBODYS, array(sorted(nobodys)))
