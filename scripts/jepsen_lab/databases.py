"""Two PostgreSQL servers, a primary and its replica, which take turns."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
from crashing.processes import TIMEOUT_SECONDS
from script import Broken

from tests.postgres import Postgres, running

# What pg_rewind needs, and what a server has that is not one of a test of a moment.
SETTINGS = {
    "wal_log_hints": "on",
    "full_page_writes": "on",
    "wal_retrieve_retry_interval": "200ms",
    "wal_keep_size": "256MB",
    "autovacuum": "on",
}
NAMES = "synchronous_standby_names"
SHORT = 2.0  # seconds at most that a replica is behind, or a primary is not replaced


class Pair:
    """`synchronous`: a commit is confirmed once the replica has it."""

    def __init__(self, first: Postgres, second: Postgres, *, synchronous: bool) -> None:
        self.servers = (first, second)
        self.primary, self.replica = first, second
        self.synchronous = synchronous
        self.schema = first.create_database().partition("options=")[2]
        self._wait_for(synchronous)

    @property
    def url(self) -> str:
        """The nodes' database, at whichever server takes writes, as libpq reads it."""
        folders = ",".join(str(server.data.parent) for server in self.servers)
        return (
            f"postgresql://devgate@/postgres?host={folders}&target_session_attrs=read-write"
            f"&options={self.schema}"
        )

    def url_by(self, ports: tuple[int, ...]) -> str:
        """The same by TCP: each server has a port of its own."""
        hosts = "&".join(f"host=127.0.0.1:{port}" for port in ports)
        return (
            f"postgresql://devgate@/postgres?{hosts}&target_session_attrs=read-write"
            f"&options={self.schema}"
        )

    @property
    def sockets(self) -> list[Path]:
        return [server.data.parent / ".s.PGSQL.5432" for server in self.servers]

    def restart(self, how: signal.Signals, seconds: float) -> None:
        """The primary ends so, and is back after that time."""
        self.primary.stop(how)
        time.sleep(seconds)
        self.primary.start()

    def without_replica(self, seconds: float) -> None:
        """The replica ends, and is back after that time. Commits wait for a synchronous one."""
        self.replica.stop(signal.SIGQUIT)
        time.sleep(seconds)
        self.replica.start()
        self._wait_for(self.synchronous)

    def fail_over(self, rng: random.Random, promotes: Callable[[int], None]) -> None:
        """The primary is lost with its machine, the replica is promoted, and the old primary
        follows it then.

        An asynchronous replica may be behind by SHORT. A synchronous one is not; then half of the
        new primaries wait for the next replica from the first commit on, the others do without
        one until it is there.

        `promotes` is called with the number of the newest event that the replica has, before it
        takes a write.
        """
        old, new = self.primary, self.replica
        if not self.synchronous and rng.random() < 0.8:
            os.kill(self._sender(), signal.SIGSTOP)
            time.sleep(rng.uniform(0, SHORT))
        old.kill()
        strict = self.synchronous and rng.random() < 0.5
        new.configure(NAMES, "*" if strict else "")
        time.sleep(rng.choice([0.0, rng.uniform(0, SHORT)]))
        with psycopg.connect(f"{new.url()}&options={self.schema}") as conn:
            [(newest,)] = conn.execute("SELECT coalesce(max(n), 0) FROM event").fetchall()
        promotes(int(newest))
        new.promote()
        self.primary, self.replica = new, old
        self._rebuild(old, new, rewind=rng.random() < 0.5)
        self._wait_for(self.synchronous)

    def _rebuild(self, old: Postgres, new: Postgres, *, rewind: bool) -> None:
        try:
            old.follow(new, rewind=rewind)
        except RuntimeError:
            if not rewind:
                raise
            # It was killed while it wrote, say, and has to be copied.
            old.follow(new, rewind=False)
        old.start()

    def _sender(self) -> int:
        """The process that sends the log to the replica."""
        ends = time.monotonic() + TIMEOUT_SECONDS
        query = "SELECT pid FROM pg_stat_replication WHERE state = 'streaming'"
        with psycopg.connect(self.primary.url(), autocommit=True) as conn:
            while (row := conn.execute(query).fetchone()) is None:
                if time.monotonic() > ends:
                    raise Broken("the replica does not follow its primary")
                time.sleep(0.02)
        return int(row[0])

    def _wait_for(self, synchronous: bool) -> None:
        """Return when the replica follows, and is synchronous if it should be."""
        self.primary.configure(NAMES, "*" if synchronous else "")
        state = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'"
        wanted = "sync" if synchronous else "async"
        ends = time.monotonic() + TIMEOUT_SECONDS
        with psycopg.connect(self.primary.url(), autocommit=True) as conn:
            while conn.execute(state).fetchone() != (wanted,):
                if time.monotonic() > ends:
                    raise Broken(f"the replica is not {wanted}")
                time.sleep(0.02)


@contextlib.contextmanager
def pair(programs: Path, *, synchronous: bool) -> Iterator[Pair]:
    """Both servers, gone with all that they wrote when the block ends."""
    with ExitStack() as stack:
        first = stack.enter_context(running(programs, settings=SETTINGS))
        second = stack.enter_context(running(programs, first, SETTINGS))
        yield Pair(first, second, synchronous=synchronous)
