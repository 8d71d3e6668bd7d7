"""Bounds the work for the peers of one door in one turn of the loop.

Devices, callers and HTTP share one loop. A peer of HTTP can send in a moment more than can be
processed in a second: 64 KiB of small HTTP/2 frames take 100 ms, and 300 peers may have as much
ready. So input is read in small pieces, and only one piece of each door is processed between two
rounds of the devices.
"""

from __future__ import annotations

import select
from collections import OrderedDict
from typing import NoReturn

import trio

MAX_ARRIVALS = 64  # connections that are found readable in one turn of the loop: about 50 us
EVENTS = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT

Queue = OrderedDict[trio.lowlevel.Task, None]


class Turns:
    """One piece for each turn of the loop. The task that waits longest is next.

    Requests that were read go first: each has its piece before more is read, so that requests do
    not accumulate.
    """

    def __init__(self) -> None:
        self.count = 0  # turns that have begun
        self._given = False  # a task has the piece of the next turn of the loop
        self._begun: Queue = OrderedDict()
        self._new: Queue = OrderedDict()
        self._unread: dict[int, trio.lowlevel.Task] = {}  # by descriptor: nothing has come yet
        self._epoll = select.epoll()

    async def run(self) -> NoReturn:
        """Poll until cancelled: without it readable() waits for ever."""
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            for fd, _ in self._epoll.poll(0, MAX_ARRIVALS):
                # A task is woken only in its turn. Waking a thousand tasks at once, because a byte
                # has come for each, would take 27 ms.
                if (task := self._unread.pop(fd, None)) is not None:
                    self._new[task] = None
            if not self._given:
                self._give()

    async def turn(self, *, begun: bool = False) -> None:
        """Wait for a turn. The caller's work until its next `await` is its piece.

        `begun`: it is for a request that has been read already.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._given:
            queue, task = self._begun if begun else self._new, trio.lowlevel.current_task()
            queue[task] = None

            def leave(_: object) -> trio.lowlevel.Abort:
                del queue[task]
                return trio.lowlevel.Abort.SUCCEEDED

            await trio.lowlevel.wait_task_rescheduled(leave)
        else:
            self._given = True
            # The piece is processed in the next turn of the loop, not in this one.
            await trio.lowlevel.cancel_shielded_checkpoint()
        self._begins()

    async def readable(self, fd: int) -> None:
        """Wait until this socket has bytes to read, or its end; then for a turn.

        Raises trio.BusyResourceError if a task waits for it already. Whoever closes the socket
        must call closes() first.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if fd < 0:
            raise trio.ClosedResourceError
        if fd in self._unread:
            raise trio.BusyResourceError
        try:
            self._epoll.modify(fd, EVENTS)
        except FileNotFoundError:
            self._epoll.register(fd, EVENTS)
        task = self._unread[fd] = trio.lowlevel.current_task()

        def leave(_: object) -> trio.lowlevel.Abort:
            if self._unread.get(fd) is task:
                del self._unread[fd]
            else:
                del self._new[task]
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(leave)
        self._begins()

    def closes(self, fd: int) -> None:
        """The socket is about to be closed: a task that waits for it is woken in its turn."""
        if (task := self._unread.pop(fd, None)) is not None:
            self._new[task] = None
            if not self._given:
                self._give()

    def _begins(self) -> None:
        self.count += 1
        self._give()

    def _give(self) -> None:
        """Give the piece of the next turn of the loop to the first task."""
        for queue in (self._begun, self._new):
            if queue:
                task, _ = queue.popitem(last=False)
                self._given = True
                trio.lowlevel.reschedule(task)
                return
        self._given = False
