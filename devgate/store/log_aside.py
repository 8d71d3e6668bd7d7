"""Sets the log of a replaced or overwritten SQLite file aside, and restores it later.

A log that is applied to another file than its own damages that file.
"""

from __future__ import annotations

import glob
import logging
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

REPLACED = ".of-replaced-"  # and the file's state: in the name of its log, which is set aside

log = logging.getLogger("devgate.store")


def set_aside(wal: Path, shm: Path, origin: int) -> None:
    """The log belongs to a file that was replaced. It stays beside the new one under another
    name, which restore_log() knows. `origin` is a descriptor of the file that was replaced."""
    with suppress(OSError):
        aside = Path(f"{wal}{REPLACED}{_state_of(os.fstat(origin))}")
        os.rename(wal, aside)
        shm.unlink(missing_ok=True)
        log.error("the log of the database file that was replaced is set aside as=%s", aside)


def empty(wal: Path, file: int) -> None:
    """The same for a file that was overwritten. The log is emptied besides: every connection,
    also of other programs, would copy it into the file when it is closed. `file` is a descriptor
    of the log."""
    aside = Path(f"{wal}.of-overwritten-{int(time.time())}")
    try:
        with open(file, "rb", closefd=False) as source, aside.open("xb") as target:
            aside.chmod(0o600)
            shutil.copyfileobj(source, target)
            target.flush()
            os.fsync(target.fileno())
    except OSError as err:
        log.error("the log cannot be set aside as=%s error=%s", aside, err.strerror)
    else:
        log.error("the log of the file that was overwritten is set aside as=%s", aside)
    os.ftruncate(file, 0)


def restore_log(path: Path) -> None:
    """Restore a log that was set aside, if its database file is back and unchanged. Call it under
    the lock, while no connection is open."""
    wal = path.with_name(f"{path.name}-wal")
    try:
        state = _state_of(os.stat(path))
    except OSError:
        return  # there is no database yet
    for aside in sorted(path.parent.glob(f"{glob.escape(wal.name)}{REPLACED}*")):
        if aside.name.removeprefix(f"{wal.name}{REPLACED}") != state:
            log.warning("a log of another database file is set aside here as=%s", aside)
        elif wal.exists() and wal.stat().st_size:
            log.error(
                "the log that was set aside is not taken back, there is another one as=%s log=%s",
                aside, wal,
            )  # fmt: skip
        else:
            path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
            os.rename(aside, wal)
            log.warning("the log that was set aside is taken back as=%s", aside)


def _state_of(found: os.stat_result) -> str:
    """A text for a file's identity and its last change."""
    return f"{found.st_ino}-{found.st_mtime_ns}"
