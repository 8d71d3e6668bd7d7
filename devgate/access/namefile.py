"""A small file of lines that people, the CLI and a running gateway share.

It is replaced whole or not at all, one process at a time, and whoever reads it can see
cheaply whether it changed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from devgate.errors import SetupError
from devgate.model import iso

Lines = list[str]


@dataclass(frozen=True, slots=True)
class LineFile:
    """What the file is for, and the setting that names it: for the sentences of its errors."""

    what: str
    setting: str
    head: str  # the comment that a new file begins with

    def lines(self, path: str) -> Lines:
        """Its lines; none if it is missing. Raises SetupError if it cannot be read."""
        try:
            with open(path, encoding="utf-8") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []
        except UnicodeDecodeError:
            raise SetupError(f"the {self.what} {path} is not UTF-8 text") from None
        except OSError as err:
            raise SetupError(
                f"the {self.what} {path} cannot be read: {err.strerror};"
                f" let the gateway's user read it, or set another {self.setting}"
            ) from None

    def change(
        self, path: str, check: Callable[[str], object], change: Callable[[Lines], Lines]
    ) -> None:
        """Replace the file by one with other lines. Raises SetupError.

        `check(path)` raises it for a broken file, which is for a person to look at, not for
        us to write over.
        """
        path = os.path.realpath(path)  # a link stays one
        folder = os.path.dirname(path)
        temporary = ""
        try:
            os.makedirs(folder, exist_ok=True)
            guard = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(guard, fcntl.LOCK_EX)
                check(path)
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
                f"the {self.what} {path} cannot be written: {err.strerror};"
                f" run this as its owner, or set another {self.setting}"
            ) from None
        finally:
            if temporary:
                with suppress(OSError):
                    os.unlink(temporary)


def state(path: str) -> tuple[int, ...]:
    """Changes when the file does: its bytes, its inode, or who may read it."""
    try:
        info = os.stat(path)
    except OSError as err:
        return (err.errno or errno.EIO,)
    return info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def today() -> str:
    """The time of now, as these files note it."""
    return iso(time.time()) or ""


def _keep_owner(path: str, fd: int) -> None:
    """Root may change the file of a gateway that runs as somebody else and must still read it."""
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return
    if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
        with suppress(PermissionError):
            os.fchown(fd, old.st_uid, old.st_gid)
