"""On which line of a TOML text a key or table stands."""

from __future__ import annotations

import re
from collections.abc import Iterator

import tomli

Path = tuple[str, ...]

_TOKEN = re.compile(
    r"""
    (?P<newline>\n)
  | (?P<skip>[^\S\n]+|\#[^\n]*)
  | (?P<long>\"{3}(?:[^\\]|\\.)*?\"{3,5}|'{3}.*?'{3,5})
  | (?P<quoted>"(?:[^"\\\n]|\\.)*"|'[^'\n]*')
  | (?P<bare>[A-Za-z0-9_-]+)
  | (?P<mark>[][{}=,])
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


class Lines:
    """The line of each key and table of a text, which must be valid TOML (tomli checks that)."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        self._numbered: dict[Path, int] = {}  # tables of [[one name]] and their keys, each
        self._count: dict[Path, int] = {}  # ... how many there have been
        self._table: Path = ()  # the table whose header was read last
        self._item: Path = ()  # the same with its number, where it is one of several
        self._many = False  # whether the header that is being read has two brackets
        self._key: list[str] = []  # the parts of the key that is being read
        self._current: Path = ()  # the key whose value is being read
        self._open: list[tuple[str, Path]] = []  # brackets of a value, with what they belong to
        self._mode = "key"  # or "header", or "value"
        for kind, token, line in _tokens(text):
            if kind == "newline":
                self._newline()
            elif kind == "mark":
                self._mark(token, line)
            elif self._mode != "value" and kind in ("bare", "quoted"):
                self._key.append(token if kind == "bare" else tomli.loads(f"k={token}")["k"])

    @property
    def paths(self) -> frozenset[Path]:
        """Every key and table of the text."""
        return frozenset(self._lines)

    def exact(self, path: Path) -> int | None:
        """The first line of this key or table, from 1; None if it is not there.

        For one of several tables the path has its number, from 0, behind their name.
        """
        return self._lines.get(path) or self._numbered.get(path)

    def nearest(self, path: Path) -> int | None:
        """The line of this key, or else of the innermost table around it that exists."""
        while path:
            if line := self.exact(path):
                return line
            path = path[:-1]
        return None

    def _newline(self) -> None:
        if not self._open:  # inside brackets a value goes on
            self._mode, self._key = "key", []

    def _mark(self, mark: str, line: int) -> None:
        if self._mode == "header":
            if mark == "[":
                self._many = True
            elif mark == "]" and self._key:
                self._table = self._note((), line)
                self._number(line)
                self._mode = "value"  # the other tokens of this line do not matter
        elif self._mode == "key":
            if mark == "[" and not self._open:
                self._mode, self._many = "header", False
            elif mark == "=":
                self._current = self._note(self._open[-1][1] if self._open else self._table, line)
                self._mode = "value"
            elif mark == "}":  # an empty inline table, or a comma before its end
                self._close()
        elif mark in "[{":
            self._open.append((mark, self._current))
            self._begin(mark)
        elif mark in "]}":
            self._close()
        elif mark == "," and self._open:
            self._begin(self._open[-1][0])

    def _number(self, line: int) -> None:
        """Number the table that begins, if it is one of several."""
        self._item = ()
        if self._many:
            count = self._count.get(self._table, 0)
            self._count[self._table] = count + 1
            self._item = (*self._table, str(count))
            self._numbered[self._item] = line

    def _begin(self, bracket: str) -> None:
        """Begin a bracket, or a part in it: an inline table has keys, a list has values."""
        self._mode, self._key = ("key" if bracket == "{" else "value"), []
        self._current = self._open[-1][1]

    def _close(self) -> None:
        if self._open:
            self._open.pop()
        self._mode = "value"

    def _note(self, around: Path, line: int) -> Path:
        """Remember the key that was read, and the tables that its dots name."""
        whole = (*around, *self._key)
        for size in range(len(around) + 1, len(whole) + 1):
            self._lines.setdefault(whole[:size], line)
        if self._item and around == self._table:
            self._numbered.setdefault((*self._item, *self._key), line)
        self._key = []
        return whole


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind, token = str(match.lastgroup), match[0]
        if kind not in ("skip", "other"):
            yield kind, token, line
        line += token.count("\n")
