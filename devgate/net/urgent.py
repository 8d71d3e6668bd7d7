"""Descriptors that are served ahead of all devices: callers' connections."""

from __future__ import annotations

import select
from collections.abc import Callable

CALLS = 64  # in one round: then the devices have their turn


class Urgent:
    """Calls back for descriptors that can be read. The poller runs it ahead of a round.

    In an epoll of its own, since one epoll hands out what is ready in the order in which it
    became so: a caller would wait behind a wave of ten thousand heartbeats.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}
        self.fd = self._epoll.fileno()  # readable when run() has something to do

    def add(self, fd: int, call: Callable[[], None]) -> None:
        """Call that in each round in which there is something to be read, or the end.

        It must neither await nor raise, and reads at least some of what is there. forget() is
        to be called before the descriptor is closed.
        """
        self._epoll.register(fd, select.EPOLLIN)
        self._calls[fd] = call

    def forget(self, fd: int) -> None:
        """Call for it no more; the second time does nothing."""
        if self._calls.pop(fd, None) is not None and not self._epoll.closed:
            self._epoll.unregister(fd)

    def run(self) -> None:
        """Call back for what can be read now, at most CALLS descriptors. Never waits."""
        for fd, _ in self._epoll.poll(0, CALLS):
            call = self._calls.get(fd)
            if call is not None:  # not forgotten by an earlier one of this round
                call()

    def close(self) -> None:
        """Close its epoll. From then on nothing is called; the descriptors stay open."""
        self._epoll.close()
