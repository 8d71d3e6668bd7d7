"""Rows committed in the last minutes, to write them again into a database that lost them."""

from __future__ import annotations

import pickle
import zlib
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

# A replica is seconds behind, and a busy gateway writes some thousand rows a second at most in
# peaks: some 0.5 MB of memory, with rows of one command each up to 5 MB.
MAX_ROWS = 20_000
# From this size on a commit is compressed: that of a storm to a quarter, in 0.7 us a device.
COMPRESS_BYTES = 4096
# The base two logarithm of the window, 8 KiB: rows repeat within it, and each commit needs less
# set-up.
WINDOW_BITS = 13

# Attempts of unknown devices are added to existing counts: written twice, they would count twice.
ADDED = "unknown"

Values = tuple[Any, ...]


class Commit(NamedTuple):
    """The rows of one commit by kind and by their first column, and its numbered events."""

    packed: bytes  # both, by pickle: as objects they take three times the memory
    compressed: bool
    size: int  # its rows and events
    last: int  # the newest event's number after it; at a node, the number of its beat


class Recent:
    """The newest commits, with MAX_ROWS rows at most."""

    def __init__(self, newest: Values | None) -> None:
        self.newest = newest  # the newest event of all, with its number as the last column
        self._commits: deque[Commit] = deque()
        self._count = 0

    def add(self, rows: dict[str, dict[Any, Values]], events: list[Values], last: int) -> None:
        """Remember a commit: its rows by kind, and its events with their numbers, up to `last`.

        The oldest commits are forgotten when there are more than MAX_ROWS rows.
        """
        if events:
            self.newest = events[-1]
        elif "command" not in rows:
            return
        if ADDED in rows:
            rows = {kind: some for kind, some in rows.items() if kind != ADDED}
        size = len(events) + sum(map(len, rows.values()))
        packed = pickle.dumps((rows, events))
        compressed = len(packed) >= COMPRESS_BYTES
        if compressed:
            packed = zlib.compress(packed, 1, WINDOW_BITS)
        self._commits.append(Commit(packed, compressed, size, last))
        self._count += size
        while self._count > MAX_ROWS:
            self._count -= self._commits.popleft().size

    def since(self, last: int) -> tuple[dict[str, dict[Any, Values]], list[Values]]:
        """The rows by kind, and the events behind that number, of all commits that may be missing
        in a database whose newest event has that number."""
        rows: dict[str, dict[Any, Values]] = {}
        events: list[Values] = []
        for some_rows, some_events in self.commits(last):
            events += [values for values in some_events if values[-1] > last]
            for kind, some in some_rows.items():
                rows.setdefault(kind, {}).update(some)  # later rows replace earlier ones
        return rows, events

    def commits(self, last: int) -> Iterator[tuple[dict[str, dict[Any, Values]], list[Values]]]:
        """The rows and events of each commit that was added with this number or a higher one."""
        for commit in self._commits:
            if commit.last >= last:
                packed = commit.packed
                yield pickle.loads(zlib.decompress(packed) if commit.compressed else packed)
