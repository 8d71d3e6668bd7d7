"""The accept loop of every door: devices, control, HTTP."""

from __future__ import annotations

import errno
import logging
import math
import os
import socket
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

import trio

# Connections in one round, so that other tasks have their turn in a storm of thousands. Each takes
# about 40 us here, and as much in its new task.
ROUND_CONNECTIONS = 32
PAUSE_SECONDS = 0.1  # a full door looks again after this long
NEWS_SECONDS = 60.0  # at most one line about a paused door in this many seconds
# Failures in a row after which accepting pauses, whatever the errors: the listener stays readable,
# so without a pause a door that cannot accept would keep a core busy.
MAX_FAILURES = 16

# Errors of an exhausted process or machine. The connection stays in the kernel's queue meanwhile.
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

# Gets a non-blocking descriptor, which belongs to the callee from then on, also if it raises; and
# the address of the peer.
OnAccepted = Callable[[int, Any], None]


class Listener(Protocol):
    """The part of a listening socket that a door needs."""

    def accept(self) -> tuple[socket.socket, Any]:
        """As socket.accept()."""

    def fileno(self) -> int:
        """As socket.fileno()."""


class Accepting:
    """Accepts on the listening sockets of one door. Logs when it pauses, and why.

    `room()` is how many more connections there may be now. `full()` says why there may be none. It
    returns "" if it has just ended some connections: their places are free in the next turn.
    """

    def __init__(
        self,
        room: Callable[[], int],
        full: Callable[[], str],
        on_accepted: OnAccepted,
        log: logging.Logger,
        *,
        name: str = "accepting",
        inside: Callable[[], int] | None = None,
    ) -> None:
        self.paused = False
        self._room = room
        self._full = full
        self._on_accepted = on_accepted
        self._log = log
        self._name = name
        self._inside = inside
        self._failures = 0  # in a row
        self._quiet_until = -math.inf  # no more news of pauses before this time
        self._said = False  # that it is paused
        self._fault_quiet_until = -math.inf  # the same for faults

    async def run(self, listener: Listener) -> NoReturn:
        """Accept until cancelled. The caller closes the listener."""
        while True:
            await trio.lowlevel.wait_readable(listener)
            while (why := self._round(listener)) is not None:
                self._pause(why)
                # It is not polled meanwhile: a full door costs ten tries a second.
                await trio.sleep(PAUSE_SECONDS)
            self._resume()

    def _round(self, listener: Listener) -> str | None:
        """Accept waiting connections, within the budget. Returns why no more can be accepted."""
        room = self._room()
        if room <= 0:
            return self._full() or None
        for _ in range(min(ROUND_CONNECTIONS, room)):
            try:
                fd, peer = accept(listener)
            except BlockingIOError:
                self._failures = 0
                return None
            except OSError as err:
                # Linux reports the error of a connection that ended in the queue; the next one
                # may be good. But EPERM, EINVAL and others may be permanent.
                self._failures += 1
                if err.errno in EXHAUSTED or self._failures >= MAX_FAILURES:
                    return _words(err)
                continue
            self._failures = 0
            try:
                self._on_accepted(fd, peer)
            except Exception as err:
                # No memory, or a bug: it ends this connection, not the door.
                self._fault(err)
                return "no memory is left" if isinstance(err, MemoryError) else repr(err)
        return None

    def _fault(self, err: Exception) -> None:
        now = trio.current_time()
        if now >= self._fault_quiet_until:
            self._fault_quiet_until = now + NEWS_SECONDS
            self._log.error("%s: a connection was lost error=%r", self._name, err, exc_info=err)

    def _pause(self, why: str) -> None:
        if self.paused:
            return
        self.paused = True
        now = trio.current_time()
        if now >= self._quiet_until:
            self._quiet_until = now + NEWS_SECONDS
            self._said = True
            self._log.warning("%s paused %swhy=%r", self._name, self._count(), why)

    def _resume(self) -> None:
        self.paused = False
        if self._said:
            self._said = False
            self._log.warning("%s resumed%s", self._name, f" {self._count()}".rstrip())

    def _count(self) -> str:
        return "" if self._inside is None else f"connections={self._inside()} "


def as_socket(on_accepted: Callable[[socket.socket, Any], None]) -> OnAccepted:
    """For doors that work with socket objects. One is closed if `on_accepted` raises."""

    def accepted(fd: int, peer: Any) -> None:
        try:
            sock = socket.socket(fileno=fd)
        except BaseException:
            os.close(fd)
            raise
        try:
            on_accepted(sock, peer)
        except BaseException:
            sock.close()
            raise

    return accepted


def accept(listener: Listener) -> tuple[int, Any]:
    """The descriptor of the next connection, non-blocking, and its peer's address.

    socket.accept() makes a socket object, which takes longer than accepting. The method that it
    calls for the descriptor is not documented: architecture.md section 8.
    """
    if hasattr(listener, "_accept"):
        fd, peer = listener._accept()
    else:
        sock, peer = listener.accept()
        fd = sock.detach()
    os.set_blocking(fd, False)
    return fd, peer


def _words(err: OSError) -> str:
    words = (err.strerror or str(err)).lower()
    if err.errno is None or err.errno in EXHAUSTED:
        return words
    return f"{words} ({errno.errorcode.get(err.errno, err.errno)})"
