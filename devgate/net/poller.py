"""One epoll for all device sockets, owned by one task."""

from __future__ import annotations

import os
import select
from collections.abc import Awaitable, Iterator
from itertools import islice

import trio

from devgate.net.closing import say_goodbye, set_abort
from devgate.net.link import Link, reason
from devgate.net.queues import GONE, LINK_READS, ORDINARY, READ_SIZE, Queues
from devgate.net.urgent import Urgent

ROUND_LINKS = 256  # links in one round: other tasks get their turn in between
SPARE_LINKS = 64  # further places in the list: in a storm each new link has the next descriptor
ROUND_POLLS = 16  # in one round: registered links may be behind others in the kernel's queue
MAX_EVENTS = 1024  # events at once where nothing is read
FLUSH_LOOK_SECONDS = 0.02  # between two looks at the outboxes while the gateway stops

EDGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET


class Poller:
    """Yields the bytes that arrived. It knows descriptors and bytes, not their meaning.

    An event is only a hint: the read that follows decides. So a stale event, of a descriptor that
    was closed and reused, costs one read without data and does no harm.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._fd = self._epoll.fileno()
        self.urgent = Urgent()
        self._epoll.register(self.urgent.fd, select.EPOLLIN)
        self._look = select.poll()
        self._look.register(self._fd, select.POLLIN)
        # By descriptor: the kernel gives the lowest free one, so a list is dense, and takes a
        # fifth of a dict's memory.
        self._links: list[Link | None] = [None] * (self.urgent.fd + 1)
        self._queues = Queues()
        self._more = False

    def add(self, link: Link) -> None:
        """Poll this link. Bytes that have arrived already are reported like all that follow. The
        second time does nothing.

        Raises OSError if the kernel cannot watch more sockets; close() must still be called.
        """
        links, fd = self._links, link.fd
        if self._polls(link, fd):
            return
        self._epoll.register(fd, EDGES)
        if fd >= len(links):
            links.extend([None] * (fd + SPARE_LINKS - len(links)))
        links[fd] = link

    def look_through(self) -> None:
        """Skip the first events of thousands of links that were just added: most say only that the
        socket is writable, and would fill many rounds. Links with other events are read next."""
        links, size = self._links, MAX_EVENTS
        while size == MAX_EVENTS:
            fresh = self._epoll.poll(0, MAX_EVENTS)
            size = len(fresh)
            for fd, event in fresh:
                link = links[fd]
                if link is not None and (event != select.EPOLLOUT or link.unsent):
                    self._queues.later(link)

    def close(self, link: Link, *, abort: bool = False) -> None:
        """Remove the link and close its socket; the second time does nothing.

        The only place that closes a link. Bytes that the kernel has taken are still delivered;
        with `abort` they are discarded, and the device gets a reset.
        """
        if link.fd < 0:
            return
        self.forget(link)
        fd, link.fd = link.fd, -1
        if abort:
            set_abort(fd)
        else:
            say_goodbye(link, fd)
        link.broken = True
        link.unsent = b""
        if link.outbound is not None:
            link.outbound.over()
        link.inbound = link.outbound = None
        os.close(fd)

    def forget(self, link: Link) -> None:
        """Stop polling it. Its socket stays open."""
        if self._polls(link, fd := link.fd):
            self._links[fd] = None
            self._queues.done(link)
            # Closing the descriptor is not enough if another process holds it, too. The epoll
            # itself may be closed by now (ValueError).
            try:  # noqa: SIM105 (saves an object for each connection that a stop ends)
                self._epoll.unregister(fd)
            except (OSError, ValueError):
                pass

    def _polls(self, link: Link, fd: int) -> bool:
        return fd < len(self._links) and self._links[fd] is link

    async def aclose(self) -> None:
        """Close the epoll. The owners of links close them, before or after."""
        if not self._epoll.closed:
            trio.lowlevel.notify_closing(self._fd)
            self._epoll.close()
            self.urgent.close()
        await trio.lowlevel.checkpoint()

    def wait(self) -> Awaitable[None]:
        """Wait until something may be read or sent. Always a checkpoint. Await it at once.

        Raises trio.ClosedResourceError when the poller is closed meanwhile.
        """
        # Returned, and not awaited here: one step less for each round.
        queues = self._queues
        if self._more or queues.unfinished or queues.unregistered:  # as `behind`, without a call
            return trio.lowlevel.checkpoint()  # noqa: ASYNC105
        return trio.lowlevel.wait_readable(self._fd)  # noqa: ASYNC105

    @property
    def behind(self) -> bool:
        """Whether the last round left something for the next one."""
        queues = self._queues
        return self._more or bool(queues.unfinished) or bool(queues.unregistered)

    def waits(self, link: Link) -> bool:
        """Whether this link may have bytes to read, and has not had its turn yet."""
        return self._queues.waits(link)

    def pending(self) -> bool:
        """Whether a round would find something now. Changes nothing."""
        queues = self._queues
        return bool(queues.unfinished or queues.unregistered or self._look.poll(0))

    def arrivals(self, max_links: int = ROUND_LINKS) -> Iterator[tuple[Link, bytes]]:
        """One round of at most `max_links` links, without waiting. Empty bytes are the end of a
        link.

        Registered links come first. The others get the places that these leave, within the limits
        of Queues.others(). The end may be reported twice; nothing is reported of a link that has
        been closed. Links may be added and closed while this runs. If the caller stops a round
        early, nothing is lost.
        """
        # With one more local, CPython would read `link` and `data` by two instructions.
        unfinished, others = self._queues.unfinished, self._queues.unregistered
        links, read = self._links, os.read
        if self._more or unfinished or others:  # as `behind`, without a call
            self.urgent.run()
        # Links that flood get half of a round, so that the others are read, too.
        turns = list(islice(unfinished, max_links // 2)) if unfinished else []
        room = max_links - len(turns)
        for _ in range(ROUND_POLLS):
            fresh = self._epoll.poll(0, room)
            self._more = len(fresh) == room
            before = len(others)
            events = iter(fresh)
            # Registered links are read now. The others are only queued.
            try:
                for fd, event in events:
                    link = links[fd]
                    if link is None or (unfinished and link in unfinished):
                        if fd == self.urgent.fd:
                            self.urgent.run()
                        continue  # closed earlier in this round, or it is among `turns`
                    if not link.registered:
                        if event != select.EPOLLOUT or link.unsent:
                            others[link] = others.get(link, 0) | event
                    elif event == ORDINARY and not link.unsent and link.inbound is None:
                        # Nearly every message: one read, one yield, nothing else.
                        try:
                            data = read(fd, READ_SIZE)
                        except BlockingIOError:
                            continue
                        except OSError as err:
                            data = link.end(reason(err))
                        if len(data) == READ_SIZE:
                            unfinished[link] = None  # if the caller stops the round here
                            yield link, data
                            if link in unfinished:  # not closed meanwhile
                                yield from self._queues.drain(link, LINK_READS - 1, short=True)
                        else:
                            yield link, data  # drained: the next byte makes a new edge
                    elif event != select.EPOLLOUT or link.unsent:
                        yield from self._queues.drain(link, LINK_READS, short=not event & GONE)
            finally:
                for fd, _ in events:
                    if (link := links[fd]) is not None:
                        self._queues.later(link)
            # The kernel reports events in the order of arrival. Behind ten thousand links that are
            # not registered there may be one that is.
            passed = len(others) - before
            if not self._more or passed <= 0:
                room -= len(fresh) - max(passed, 0)
                break
            room = passed
        for link in turns:
            if link in unfinished:  # not closed meanwhile
                yield from self._queues.drain(link, LINK_READS)
        if others:
            yield from self._queues.others(room)

    def drain(self, link: Link) -> Iterator[tuple[Link, bytes]]:
        """Read this link, whether or not there was an edge for it; yields as arrivals()."""
        return self._queues.drain(link, LINK_READS) if self._polls(link, link.fd) else iter(())

    async def flush_all(self, deadline: float) -> int:
        """Send what the outboxes hold, until `deadline` (trio's clock) at the latest.

        Returns how many links still hold something. For the end of the gateway, and beside a
        running arrivals(): it looks every 20 ms, which would be too slow for normal operation.
        """
        while True:
            held = 0
            for link in list(self._links):
                if link is not None and link.unsent and link.flush() and link.unsent:
                    held += 1
            if not held or trio.current_time() >= deadline:
                await trio.lowlevel.checkpoint()
                return held
            await trio.sleep_until(min(deadline, trio.current_time() + FLUSH_LOOK_SECONDS))
