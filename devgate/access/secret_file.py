"""The file with the secret that signs sessions: made once, atomically, and for its owner alone.

Everything here blocks: call it in a thread, or before the doors are open.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from devgate.errors import SetupError
from devgate.store.folders import sync_folder

MIN_SECRET_BYTES = 32  # bytes at least
MAX_FILE = 4096  # bytes that are looked at
WIDE = 0o027  # bits that are not allowed: all of others, and the group's write bit


def secret_of(path: str, *, ours: bool = False, make: bool = True) -> bytes:
    """The bytes in this file. A missing one is made, for its owner alone. `ours`: the path is a
    default, and the file is refused if others could have read or written it.

    Raises SetupError, and FileNotFoundError if it is missing and `make` is not set.
    """
    try:
        try:
            return _read(path, ours)
        except FileNotFoundError:
            if not make:
                raise
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            _make(Path(path))
            return _read(path, ours)
    except OSError as err:
        if not make and isinstance(err, FileNotFoundError):
            raise
        raise SetupError(
            f"the file {path} cannot be used: {err.strerror};"
            " let the gateway's user read it, or set another [http] secret"
        ) from None


def _read(path: str, ours: bool) -> bytes:
    with open(path, "rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        secret = file.read(MAX_FILE).strip()
    if ours and mode & WIDE:
        raise SetupError(
            f"the file {path} has the mode {mode:04o}: whoever reads it can log in as anybody;"
            " remove it, and the gateway makes another (everybody logs in again),"
            " or chmod 0600 it if nobody has read it"
        )
    if len(secret) < MIN_SECRET_BYTES:
        raise SetupError(
            f"the file {path} holds no secret of at least {MIN_SECRET_BYTES} bytes;"
            " remove it, and the gateway makes one, or set another [http] secret"
        )
    return secret


def _make(path: Path) -> None:
    """Make the file: it is complete and on the disk before it has its name. One of another process
    stays. One that root makes gets the owner of its folder. Raises OSError."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            folder = path.parent.stat()
            if os.geteuid() == 0 and folder.st_uid != 0:
                os.fchown(fd, folder.st_uid, folder.st_gid)
            file.write(secrets.token_hex(MIN_SECRET_BYTES).encode() + b"\n")
            file.flush()
            os.fsync(fd)
        try:
            os.link(part, path)
        except FileExistsError:
            return
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)
