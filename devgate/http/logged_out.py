"""Sessions that were logged out of.

A session is a signed cookie, and a copy of the cookie would go on after a logout. So the id of
each ended session is remembered for as long as its cookie could be used: in memory, in the
database, and in a file for times when the database is away.
"""

from __future__ import annotations

import logging
import os

from devgate.gateway.clock import time

log = logging.getLogger("devgate.http")

MAX_LINE = 64  # characters; ours have 27
PRUNE_LINES = 10_000  # lines of the file, then it is written again


class EndedSessions:
    """The ids, each with the time (wall clock, seconds) at which its cookie expires."""

    def __init__(self, path: str, lifetime: float) -> None:
        """`path` is the file, empty for none. `lifetime`: how long a cookie could be used, in
        seconds. If the file cannot be read or written, a warning says that it is not used."""
        self.path = path
        self._lifetime = lifetime
        self._until: dict[str, float] = {}
        self._lines = 0
        if path:
            try:
                self._read()
                self._write_anew()
            except OSError as err:
                # The folder of the secret may be read-only: the gateway starts with a warning.
                log.warning(
                    "logouts are kept in the database alone file=%s reason=%s", path, err.strerror
                )
                self.path = ""

    def __contains__(self, id: str) -> bool:
        return id in self._until

    def add(self, id: str) -> None:
        """From now on, this session has ended."""
        self._until[id] = time() + self._lifetime

    def write(self, id: str) -> None:
        """Write an added id to the file. It blocks: for a thread. Raises OSError."""
        if not self.path:
            return
        self._lines += 1
        if self._lines > PRUNE_LINES:
            self._write_anew()
            return
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(f"{id} {self._until[id]:.0f}\n")
            file.flush()
            os.fsync(fd)

    def _read(self) -> None:
        try:
            file = open(self.path, encoding="ascii", errors="replace")  # noqa: SIM115
        except FileNotFoundError:
            return
        with file:
            for line in file:
                id, _, until = line.strip().partition(" ")
                if len(line) <= MAX_LINE and until.isdigit():
                    self._until[id] = float(until)

    def _write_anew(self) -> None:
        """Write the file without the ids whose cookies have expired."""
        now = time()
        self._until = {id: until for id, until in self._until.items() if until > now}
        temporary = f"{self.path}.new"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.writelines(f"{id} {until:.0f}\n" for id, until in self._until.items())
            file.flush()
            os.fsync(fd)
        os.replace(temporary, self.path)
        self._lines = len(self._until)
