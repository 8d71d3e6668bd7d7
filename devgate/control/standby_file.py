"""The file beside the control socket that says that a standby waits there.

A standby has no door: a caller finds nobody at the socket, and this file says why. It is locked
while its process lives. Standard library only: the CLI reads it.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

MAX_BYTES = 1000  # bytes of the sentence


class StandbyFile:
    """At most one process has the file. An error with it never stops that process."""

    def __init__(self, socket: str) -> None:
        """`socket`: the path of the control socket."""
        self._path = _path(socket)
        self._fd = -1

    def say(self, words: str) -> None:
        """Write what the standby waits for, in one sentence. Does nothing if another standby has
        the file, or if it cannot be written."""
        with suppress(OSError):
            if self._fd < 0:
                os.makedirs(os.path.dirname(self._path) or ".", exist_ok=True)
                fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    os.close(fd)
                    raise
                self._fd = fd
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, words.encode()[:MAX_BYTES], 0)

    def remove(self) -> None:
        """The standby waits no longer. The second time does nothing."""
        if self._fd >= 0:
            with suppress(OSError):
                os.unlink(self._path)
            os.close(self._fd)
            self._fd = -1


def waiting(socket: str) -> str | None:
    """What the standby waits for whose control socket will be at this path; None: there is
    none."""
    try:
        fd = os.open(_path(socket), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(fd, MAX_BYTES, 0).decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        os.close(fd)
    return None  # of a process that was killed


def _path(socket: str) -> str:
    return f"{socket}.standby"
