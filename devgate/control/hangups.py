"""Detects clients that are gone after they had ended their sending side."""

from __future__ import annotations

import logging
import select
import socket
from collections.abc import Callable
from typing import NoReturn

import trio

log = logging.getLogger("devgate.control")


class Hangups:
    """One epoll that reports hang-ups only.

    A client may end its sending side and still read. From then on its socket is always readable,
    so waiting for bytes does not show when it has gone; the epoll's hang-up event does.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._gone: dict[int, Callable[[], None]] = {}

    def watch(self, sock: socket.socket, gone: Callable[[], None]) -> None:
        """Call `gone`, once, when both directions have ended. Call forget() before the socket is
        closed."""
        self._gone[sock.fileno()] = gone
        # No event is asked for: hang-ups and errors are always reported.
        self._epoll.register(sock, select.EPOLLONESHOT)

    def forget(self, sock: socket.socket) -> None:
        """Stop watching; the second time does nothing."""
        if self._gone.pop(sock.fileno(), None) is not None:
            self._epoll.unregister(sock)

    async def run(self) -> NoReturn:
        """Call back for hang-ups until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            for fd, _ in self._epoll.poll(0, 64):
                if gone := self._gone.get(fd):
                    try:
                        gone()
                    except Exception:
                        log.exception("control connection crashed")

    def close(self) -> None:
        """Close the epoll, after the last forget()."""
        self._epoll.close()
