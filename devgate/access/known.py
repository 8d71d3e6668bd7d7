"""Who is known: what the database has, and the lines of a file that it has not taken over yet.

A line is taken over once: from then on the database decides. A line that changes, or comes, is in
force at once; one that goes takes its account with it, also where it was taken over.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Generic, TypeVar

from devgate.access.namefile import Entry, NameFile, Watched

T = TypeVar("T", bound=Entry)

NOTHING: Mapping[str, str] = MappingProxyType({})


class Known(Generic[T]):
    """The entries of one kind, by their names."""

    def __init__(self, file: NameFile[T], path: str | os.PathLike[str] | None) -> None:
        """`path`: of the file, if there is one. Raises SetupError for one that cannot be used."""
        self._kind = file
        self._watched = None if path is None else Watched(file, path)
        self._stored: Mapping[str, T] = {}
        self._taken: Mapping[str, str] = NOTHING
        self._seen: Mapping[str, T] | None = None  # of the file, when entries were put together
        # Names that were in the file since the start.
        self._had = set() if self._watched is None else set(self._watched.entries())
        self._entries: Mapping[str, T] = {}
        self._offered: set[tuple[str, str]] = set()  # names and lines
        self._nothing: Mapping[str, T] = {}  # the same one each time: nothing has changed then

    @property
    def path(self) -> str:
        """Where the file is; "" if there is none."""
        return "" if self._watched is None else self._watched.path

    def move(self, path: str) -> None:
        """Read another file from now on."""
        if self._watched is None:
            self._watched = Watched(self._kind, path)
        self._watched.path = path

    def put(self, stored: Mapping[str, T], taken: Mapping[str, str]) -> None:
        """What the database has by now: all that are enabled, and for each name whose line was
        taken over what `line_of` gave for it."""
        self._stored, self._taken, self._seen = stored, taken, None

    def entries(self) -> Mapping[str, T]:
        """All that are in force. Looks at the file, so that a change there is so at once."""
        file = self._nothing if self._watched is None else self._watched.entries()
        if file is not self._seen:
            self._seen = file
            self._had |= file.keys()
            gone = self._gone(file)
            found = {name: one for name, one in self._stored.items() if name not in gone}
            found |= {one.name: one for one in self._untaken(file)}
            self._entries = found
        return self._entries

    def untaken(self) -> Sequence[T]:
        """What the file has and the database has not taken over."""
        return self._untaken({} if self._watched is None else self._watched.entries())

    def offered(self, entries: Sequence[T]) -> None:
        """The database has been asked to take these over: from now on it decides. Another node
        with another line of that name may have come behind us."""
        self._offered |= {(one.name, line_of(one)) for one in entries}
        self._seen = None

    def gone(self, *, since_start: bool) -> Sequence[str]:
        """Names that were taken over from lines that are there no longer. `since_start`: only of
        lines that were there when this gateway started."""
        file = {} if self._watched is None else self._watched.entries()
        names = self._gone(file)
        return sorted(names & self._had if since_start else names)

    def _untaken(self, file: Mapping[str, T]) -> list[T]:
        return [
            one
            for one in file.values()
            if self._taken.get(one.name) != line_of(one)
            and (one.name, line_of(one)) not in self._offered
        ]

    def _gone(self, file: Mapping[str, T]) -> set[str]:
        """A file that is missing altogether says nothing about what was taken from it."""
        if self._watched is None or self._watched.missing:
            return set()
        return {name for name in self._taken if name not in file}


def line_of(entry: Entry) -> str:
    """Stands for the line of a file that an entry came from."""
    return entry.line()
