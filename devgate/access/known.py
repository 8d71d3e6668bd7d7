"""Known users or tokens: those of the database, and lines of a file that are not imported yet.

A line is imported once: from then on the database decides. A new or changed line is in force at
once. If a line is removed, its account is removed, too, also if it was imported.
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
        self._imported: Mapping[str, str] = NOTHING
        self._seen: Mapping[str, T] | None = None  # the file's entries when _entries was made
        # Names that were in the file since the start.
        self._had = set() if self._watched is None else set(self._watched.entries())
        self._entries: Mapping[str, T] = {}
        self._offered: set[tuple[str, str]] = set()  # names and lines
        self._nothing: Mapping[str, T] = {}  # always the same object, which means: no change

    @property
    def path(self) -> str:
        """Where the file is; "" if there is none."""
        return "" if self._watched is None else self._watched.path

    def move(self, path: str) -> None:
        """Read another file from now on."""
        if self._watched is None:
            self._watched = Watched(self._kind, path)
        self._watched.path = path

    def put(self, stored: Mapping[str, T], imported: Mapping[str, str]) -> None:
        """Set the state of the database: all enabled entries, and for each imported name what
        line_of() gave for its line."""
        self._stored, self._imported, self._seen = stored, imported, None

    def entries(self) -> Mapping[str, T]:
        """All entries in force. Checks the file, so that a change is in force at once."""
        file = self._nothing if self._watched is None else self._watched.entries()
        if file is not self._seen:
            self._seen = file
            self._had |= file.keys()
            gone = self._gone(file)
            found = {name: one for name, one in self._stored.items() if name not in gone}
            found |= {one.name: one for one in self._not_imported(file)}
            self._entries = found
        return self._entries

    def not_imported(self) -> Sequence[T]:
        """The file's entries that are not imported."""
        return self._not_imported({} if self._watched is None else self._watched.entries())

    def offered(self, entries: Sequence[T]) -> None:
        """Note that the database was asked to import these: from now on it decides. Another node
        may have imported another line of that name since."""
        self._offered |= {(one.name, line_of(one)) for one in entries}
        self._seen = None

    def gone(self, *, since_start: bool) -> Sequence[str]:
        """Imported names whose lines have been removed. `since_start`: only of lines that existed
        when this gateway started."""
        file = {} if self._watched is None else self._watched.entries()
        names = self._gone(file)
        return sorted(names & self._had if since_start else names)

    def _not_imported(self, file: Mapping[str, T]) -> list[T]:
        return [
            one
            for one in file.values()
            if self._imported.get(one.name) != line_of(one)
            and (one.name, line_of(one)) not in self._offered
        ]

    def _gone(self, file: Mapping[str, T]) -> set[str]:
        """As gone(), of all lines. If the file is missing, no line counts as removed."""
        if self._watched is None or self._watched.missing:
            return set()
        return {name for name in self._imported if name not in file}


def line_of(entry: Entry) -> str:
    """A text for the line of a file that an entry came from."""
    return entry.line()
