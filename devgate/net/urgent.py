"""Descriptors that are served before all devices: callers' connections."""

from __future__ import annotations

import select
from collections.abc import Callable

MAX_CALLS = 64  # in one round: then the devices have their turn


class Urgent:
    """Calls back for descriptors that can be read. The poller runs it before a round.

    It has an epoll of its own: an epoll reports descriptors in the order in which they became
    ready, so a caller would wait behind a wave of ten thousand heartbeats.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}
        self.fd = self._epoll.fileno()  # readable when run() has something to do

    def add(self, fd: int, call: Callable[[], None]) -> None:
        """Call `call` in each round in which the descriptor has bytes to read, or has ended.

        It must neither await nor raise, and must read at least some of the bytes. forget() must be
        called before the descriptor is closed.
        """
        self._epoll.register(fd, select.EPOLLIN)
        self._calls[fd] = call

    def forget(self, fd: int) -> None:
        """Stop calling for it; the second time does nothing."""
        if self._calls.pop(fd, None) is not None and not self._epoll.closed:
            self._epoll.unregister(fd)

    def run(self) -> None:
        """Call back for descriptors that can be read now, at most MAX_CALLS. Never waits."""
        for fd, _ in self._epoll.poll(0, MAX_CALLS):
            call = self._calls.get(fd)
            if call is not None:  # not forgotten by an earlier one of this round
                call()

    def close(self) -> None:
        """Close its epoll. From then on nothing is called; the descriptors stay open."""
        self._epoll.close()
