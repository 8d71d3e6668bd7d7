"""How much of one turn of the loop the peers of a door may have.

Devices, callers and HTTP share one loop. A peer of HTTP can send more in a moment than is worked
off in a second: 64 KiB of small frames of HTTP/2 take 100 ms, and 300 peers have as much ready.
So input is taken in small pieces, and only one piece of each door is worked off between two looks
at the devices, whoever it is from.
"""

from __future__ import annotations

import select
from collections import OrderedDict
from typing import NoReturn

import trio

ARRIVALS = 64  # connections that are found readable in one turn of the loop: some 50 us
EVENTS = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT

Queue = OrderedDict[trio.lowlevel.Task, None]


class Turns:
    """One piece for each turn of the loop. Whoever waits longest is next.

    What has begun goes first: a request that was read has its piece before anything more is
    read, so that requests which wait for one do not pile up.
    """

    def __init__(self) -> None:
        self.count = 0  # turns that have begun
        self._given = False  # somebody has the piece of the next turn of the loop
        self._begun: Queue = OrderedDict()
        self._new: Queue = OrderedDict()
        self._unread: dict[int, trio.lowlevel.Task] = {}  # by descriptor: nothing has come yet
        self._epoll = select.epoll()

    async def run(self) -> NoReturn:
        """Look for what has come, until cancelled: without it `readable` waits for ever."""
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            for fd, _ in self._epoll.poll(0, ARRIVALS):
                # Nobody is woken before it is its turn. All of a thousand tasks at once, because
                # a byte has come for each, would take 27 ms.
                if (task := self._unread.pop(fd, None)) is not None:
                    self._new[task] = None
            if not self._given:
                self._give()

    async def turn(self, *, begun: bool = False) -> None:
        """Wait for a turn. What the caller does until it awaits again is its piece.

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
            # The piece is worked off in the next turn of the loop, not in this one.
            await trio.lowlevel.cancel_shielded_checkpoint()
        self._begins()

    async def readable(self, fd: int) -> None:
        """Wait until this socket has something to be read, or its end; then for a turn.

        Raises trio.BusyResourceError if somebody waits for it already. Whoever closes the socket
        calls `closes` first.
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
        """The socket is about to be closed: who waits for it finds that out in its turn."""
        if (task := self._unread.pop(fd, None)) is not None:
            self._new[task] = None
            if not self._given:
                self._give()

    def _begins(self) -> None:
        self.count += 1
        self._give()

    def _give(self) -> None:
        """The piece of the next turn of the loop goes to who is first."""
        for queue in (self._begun, self._new):
            if queue:
                task, _ = queue.popitem(last=False)
                self._given = True
                trio.lowlevel.reschedule(task)
                return
        self._given = False
