"""A small file of names, one a line, that people, the CLI and a running gateway share.

It is replaced as a whole, by one process at a time, and a reader can check cheaply whether it has
changed. Empty lines and lines with `#` in front are comments.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from devgate.errors import SetupError
from devgate.model import iso

Lines = list[str]

log = logging.getLogger(__name__)


class Named(Protocol):
    """An entry of such a file."""

    @property
    def name(self) -> str:
        """Its name, which is unique in a file."""


T = TypeVar("T", bound=Named)


class Entry(Named, Protocol):
    """An entry that the database may have, too."""

    def line(self) -> str:
        """A text for its line in the file: entries with different lines have different texts."""


@dataclass(frozen=True, slots=True)
class NameFile(Generic[T]):
    """One kind of such files: the form of its lines, and the words of its errors."""

    kind: str  # what a line names: token or user
    setting: str  # that names the file
    head: str  # the comment at the top of a new file
    shape: str  # of a line, for people
    pattern: re.Pattern[str]  # of a line; its first group is the name
    entry: Callable[..., T]  # from the groups of the pattern

    def entries(self, path: str | os.PathLike[str]) -> list[T]:
        """All entries of the file; none if it is missing. Raises SetupError if it is broken."""
        path = os.fspath(path)
        found: dict[str, T] = {}
        for number, text in enumerate(self.lines(path), 1):
            if not text.strip() or text.lstrip().startswith("#"):
                continue
            match = self.pattern.fullmatch(text.strip())
            if match is None:
                raise SetupError(
                    f"{path} line {number}: {self.shape} expected;"
                    f" remove the line and add the {self.kind} again"
                )
            entry = self.entry(*match.groups())
            if entry.name in found:
                raise SetupError(
                    f"{path} line {number}: a second {self.kind} named {entry.name};"
                    " remove one of them"
                )
            found[entry.name] = entry
        return list(found.values())

    def add(
        self, path: str | os.PathLike[str], name: str, line: str, *, replace: bool, advice: str
    ) -> None:
        """Add a line for this name, or replace the existing one.

        Raises SetupError if the file cannot be written, or if the name is there and is not to be
        replaced: `advice` says what to do then.
        """

        def change(lines: Lines) -> Lines:
            others = [text for text in lines if self._name(text) != name]
            if len(others) < len(lines) and not replace:
                raise SetupError(
                    f"there is a {self.kind} named {name} already in {os.fspath(path)}; {advice}"
                )
            return [*others, line]

        self.change(path, change)

    def remove(self, path: str | os.PathLike[str], name: str) -> None:
        """Remove the line of that name. Raises SetupError if there is none."""

        def change(lines: Lines) -> Lines:
            others = [text for text in lines if self._name(text) != name]
            if len(others) == len(lines):
                raise SetupError(f"there is no {self.kind} named {name} in {os.fspath(path)}")
            return others

        self.change(path, change)

    def _name(self, text: str) -> str:
        """The name in a line; nothing for a comment."""
        match = self.pattern.fullmatch(text.strip())
        return match[1] if match else ""

    def lines(self, path: str) -> Lines:
        """Its lines; none if it is missing. Raises SetupError if it cannot be read."""
        try:
            with open(path, encoding="utf-8") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []
        except UnicodeDecodeError:
            raise SetupError(f"the {self.kind} file {path} is not UTF-8 text") from None
        except OSError as err:
            raise SetupError(
                f"the {self.kind} file {path} cannot be read: {err.strerror};"
                f" let the gateway's user read it, or set another {self.setting}"
            ) from None

    def change(self, path: str | os.PathLike[str], change: Callable[[Lines], Lines]) -> None:
        """Replace the file by one with other lines. Raises SetupError, also for a broken file,
        which is not overwritten: a person has to repair it."""
        path = os.path.realpath(path)  # a link stays one
        folder = os.path.dirname(path)
        temporary = ""
        try:
            os.makedirs(folder, exist_ok=True)
            guard = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(guard, fcntl.LOCK_EX)
                self.entries(path)
                lines = change(self.lines(path) or [self.head])
                fd, temporary = tempfile.mkstemp(prefix=".lines-", dir=folder)  # mode 0600
                with os.fdopen(fd, "w", encoding="utf-8") as file:
                    _keep_owner(path, fd)
                    file.writelines(f"{text}\n" for text in lines)
                    file.flush()
                    os.fsync(fd)
                os.replace(temporary, path)
                os.fsync(guard)
                temporary = ""
            finally:
                os.close(guard)
        except OSError as err:
            raise SetupError(
                f"the {self.kind} file {path} cannot be written: {err.strerror};"
                f" run this as its owner, or set another {self.setting}"
            ) from None
        finally:
            if temporary:
                with suppress(OSError):
                    os.unlink(temporary)


class Watched(Generic[T]):
    """The current entries of one file, by name. A missing file has none."""

    def __init__(self, file: NameFile[T], path: str | os.PathLike[str]) -> None:
        """Raises SetupError for a file that is there and cannot be used."""
        self.path = os.fspath(path)
        self._file = file
        self._seen = state(self.path)
        self._entries = {entry.name: entry for entry in file.entries(self.path)}

    def entries(self) -> dict[str, T]:
        """The entries. Checks the file, so that a change is in force at once. If the file has
        become unreadable, the entries stay as they were."""
        if (now := state(self.path)) != self._seen:
            self._seen = now
            try:
                self._entries = {entry.name: entry for entry in self._file.entries(self.path)}
            except SetupError as err:
                log.error(
                    "file of names not read, its entries stay as they were kind=%s reason=%s",
                    self._file.kind, err,
                )  # fmt: skip
        return self._entries

    @property
    def missing(self) -> bool:
        """Whether there was no file at the last look."""
        return len(self._seen) == 1


def state(path: str) -> tuple[int, ...]:
    """A value that changes when the file does: its bytes, its inode, or its mode."""
    try:
        info = os.stat(path)
    except OSError as err:
        return (err.errno or errno.EIO,)
    return info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def today() -> str:
    """The time of now, as these files note it."""
    return iso(time.time()) or ""


def _keep_owner(path: str, fd: int) -> None:
    """Keep the owner if root changes the file: the gateway runs as another user and must read
    it."""
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return
    if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
        with suppress(PermissionError):
            os.fchown(fd, old.st_uid, old.st_gid)
