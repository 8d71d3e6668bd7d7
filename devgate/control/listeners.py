"""Listening sockets of the control channel: made, guarded, accepted from."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import trio

from devgate.errors import DoorInUse, SetupError
from devgate.net.addresses import bind
from devgate.net.tuning import Tuning

MAX_PATH = 107  # bytes of a Unix socket's path: what Linux has room for, less its final NUL
BACKLOG = 1024
LOCK_SECONDS = 5.0  # seconds that another starting gateway may look at the same folder


class UnixDoor:
    """A bound Unix socket, and the file that leads to it."""

    def __init__(self, sock: socket.socket, path: str, *, keep_file: bool = False) -> None:
        """`keep_file`: another process removes the file."""
        self.sock = sock
        self.path = path
        self.keep_file = keep_file
        self._file = _identity(path)

    def close(self) -> None:
        """Remove the file if it is still ours, then close. The second time does nothing."""
        # In this order: while the socket is open, the number of its inode is not used again.
        if self.sock.fileno() != -1:
            with suppress(OSError):
                if not self.keep_file and _identity(self.path) == self._file:
                    os.unlink(self.path)
            self.sock.close()


async def open_unix(path: str, mode: int) -> UnixDoor:
    """Bind and listen at this path. At no moment does it admit users that `mode` does not.

    A missing folder is made, and the socket of a dead gateway is replaced. Raises SetupError for
    that of a live gateway, for any other file at that path, and for what the system refuses.
    """
    if len(os.fsencode(path)) > MAX_PATH:
        raise SetupError(
            f"the control socket's path {path} is longer than {MAX_PATH} bytes;"
            " set a shorter [control] socket"
        )
    folder = os.path.dirname(path) or "."
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as err:
        raise SetupError(
            f"the control socket's folder {folder} cannot be made: {err.strerror};"
            " make it, or set another [control] socket"
        ) from None
    guard = await _lock(folder)  # two gateways that start at once must not replace each other's
    try:
        _clear(path)
        return UnixDoor(_bound_unix(path, mode), path)
    except OSError as err:
        raise SetupError(
            f"cannot listen on the control socket {path}: {err.strerror};"
            f" let this user write in {folder}, or set another [control] socket"
        ) from None
    finally:
        os.close(guard)


async def _lock(folder: str) -> int:
    """A descriptor that holds the folder's lock until it is closed."""
    try:
        guard = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as err:
        raise SetupError(
            f"the control socket's folder {folder} cannot be opened: {err.strerror};"
            " set another [control] socket"
        ) from None
    deadline = trio.current_time() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            if err.errno == errno.EWOULDBLOCK and trio.current_time() < deadline:
                await trio.sleep(0.02)
                continue
            os.close(guard)
            raise SetupError(
                f"the folder {folder} cannot be locked: {err.strerror};"
                " is another gateway starting there?"
            ) from None
        except BaseException:
            os.close(guard)
            raise
        return guard


def must_be_free(path: str) -> None:
    """Raises SetupError if a gateway answers at this path. Changes nothing."""
    if os.path.exists(path):
        _clear(path)


def _clear(path: str) -> None:
    """Remove a socket that nobody listens on."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SetupError(
            f"{path} is in the way of the control socket and is no socket;"
            " move it, or set another [control] socket"
        )
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except FileNotFoundError:
            return
        except PermissionError:
            raise SetupError(
                f"the control socket {path} belongs to somebody else;"
                " remove it as its owner, or set another [control] socket"
            ) from None
        except BlockingIOError:
            pass  # somebody listens, and has many callers
    raise DoorInUse(
        f"a gateway is running already at the control socket {path};"
        " stop that one, or set another [control] socket"
    )


def _bound_unix(path: str, mode: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.setblocking(False)
        # Linux gives the file the socket's own mode, less the umask; chmod gives that back.
        os.fchmod(sock.fileno(), mode)
        sock.bind(path)
        os.chmod(path, mode)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _identity(path: str) -> tuple[int, int]:
    info = os.lstat(path)
    return info.st_dev, info.st_ino


async def open_tcp(
    listen: Sequence[str | socket.socket], *, shared: bool = False
) -> list[socket.socket]:
    """Listening sockets at these addresses; those that listen already are taken as they are.
    `shared`: as `net.addresses.bind` has it.

    Raises SetupError for a wrong address or one that is not free; then none is left open.
    """
    given = [place for place in listen if isinstance(place, socket.socket)]
    try:
        # In a thread: to resolve a name takes time.
        places = [place for place in listen if isinstance(place, str)]
        bound = await trio.to_thread.run_sync(partial(bind, places, shared=shared))
    except BaseException:
        for sock in given:
            sock.close()
        raise
    for sock in given:
        sock.setblocking(False)
    for sock in bound + given:
        Tuning().set(sock)
    return bound + given
