"""The file modes of an SQLite database: for its owner, and at most its group."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OURS = 0o600  # mode of new files
WIDE = 0o027  # bits that are removed: all of others, and the group's write bit
BESIDE = ("", "-wal", "-shm", "-journal")

log = logging.getLogger("devgate.store")


def private(database: Path) -> None:
    """Make a missing database file, for its owner alone, and narrow the mode of an existing one.

    SQLite gives -wal and -shm the mode of the database, so nobody else can open them at any
    moment. A file that root makes gets the owner of its folder, which is the gateway's user.
    Raises OSError if the file can't be made.
    """
    try:
        made = os.open(database, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OURS)
    except FileExistsError:
        for name in BESIDE:
            _narrow(database.with_name(database.name + name))
        return
    try:
        give(made, database.parent)
    finally:
        os.close(made)


def lock_file(path: Path, mode: int) -> int:
    """Open a file beside a database that is there to be locked, made if it is missing. One that
    root makes belongs to whoever owns the folder: the gateway must be able to lock it later.

    Raises OSError, also for a link: who owns the folder must not lead root to another file.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        made = os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return os.open(path, flags)
    try:
        give(made, path.parent)
    except BaseException:
        os.close(made)
        raise
    return made


def new_file(path: Path) -> int:
    """Open a new file for writing, for its owner alone; an existing one is replaced.

    Raises OSError. Nothing is written through a link: the owner of the folder must not lead root
    to another file.
    """
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OURS)


@contextmanager
def new_copy(path: Path) -> Iterator[int]:
    """The descriptor of a new file, for its owner alone. When the block ends, the file is written
    to the disk and dropped from the page cache. If it raises, the file is removed. Raises
    OSError."""
    made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OURS)
    try:
        yield made
        os.fsync(made)
        os.posix_fadvise(made, 0, 0, os.POSIX_FADV_DONTNEED)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(made)


def begins_with(path: Path, name: bytes) -> bool:
    """Whether these are the first bytes of a file. Raises OSError."""
    with path.open("rb") as content:
        return content.read(len(name)) == name


def give(file: int, folder: Path) -> None:
    """Give a file that root has made to the owner of its folder."""
    found = folder.stat()
    if os.geteuid() == 0 and found.st_uid != 0:
        os.fchown(file, found.st_uid, found.st_gid)


def _narrow(file: Path) -> None:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        if not mode & WIDE:
            return
        file.chmod(mode & ~WIDE)
    except FileNotFoundError:
        return
    except OSError as err:
        log.warning(
            "database file may be read by others, and its mode cannot be changed: "
            "chmod o-rwx,g-wx it as its owner path=%s mode=%s error=%s",
            file, f"{mode:04o}", err.strerror,
        )  # fmt: skip
    else:
        log.info(
            "database file narrowed path=%s mode=%s was=%s",
            file, f"{mode & ~WIDE:04o}", f"{mode:04o}",
        )  # fmt: skip
