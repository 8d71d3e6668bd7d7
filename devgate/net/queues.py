"""Which links are read next, and how much of each: fairness between links."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from itertools import islice
from time import perf_counter

from devgate.net.link import Link, reason

READ_SIZE = 1024  # more than the longest frame: a device that behaves is drained by one read
LINK_READS = 4  # reads of one link in one round: one flood cannot starve ten thousand others
# The share of each round for connections that have not registered, besides the places that the
# registered ones leave: at least this many reads of READ_SIZE bytes, and no more after this time.
# Callers and HTTP have their turn between two rounds.
UNREGISTERED_READS = 16
UNREGISTERED_SECONDS = 0.002
END_SECONDS = 0.00005  # that the end of a link costs in the task that owns it

# Nearly every event: there are bytes to read, and the socket takes bytes.
ORDINARY = select.EPOLLIN | select.EPOLLOUT
GONE = select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP
UNKNOWN = ORDINARY | GONE  # events that may have happened to a link that was not read to its end


class Queues:
    """Links that may have more bytes to read, longest wait first. The kernel reports an edge only
    once, so these queues must remember them.

    All of them are polled. Whoever closes or forgets a link calls done().
    """

    def __init__(self) -> None:
        self.unfinished: dict[Link, None] = {}
        # The same for links that have not registered, with the events that were reported.
        self.unregistered: dict[Link, int] = {}

    def waits(self, link: Link) -> bool:
        """Whether this link may have bytes to read, and has not had its turn yet."""
        return link in self.unregistered or link in self.unfinished

    def later(self, link: Link) -> None:
        """It may have more bytes to read: move it to the back of its queue."""
        self.unfinished.pop(link, None)
        self.unregistered.pop(link, None)
        if link.registered:
            self.unfinished[link] = None
        else:
            self.unregistered[link] = UNKNOWN

    def done(self, link: Link) -> None:
        """It has no more bytes for now, or is not polled any more."""
        self.unfinished.pop(link, None)
        self.unregistered.pop(link, None)

    def others(self, room: int) -> Iterator[tuple[Link, bytes]]:
        """One read of each of some links that have not registered, longest wait first.

        `room` of them, for UNREGISTERED_SECONDS, and always UNREGISTERED_READS.
        """
        others, until = self.unregistered, perf_counter() + UNREGISTERED_SECONDS
        for count, link in enumerate(list(islice(others, max(room, UNREGISTERED_READS)))):
            if count >= UNREGISTERED_READS and perf_counter() > until:
                return
            event = others.pop(link, 0)
            if not event:
                continue  # closed meanwhile
            if event == ORDINARY and not link.unsent and link.inbound is None:
                try:
                    data = os.read(link.fd, READ_SIZE)
                except BlockingIOError:
                    continue
                except OSError as err:
                    data = link.end(reason(err))
                if len(data) == READ_SIZE:
                    others[link] = ORDINARY
                elif not data:
                    until -= END_SECONDS
                yield link, data
            else:
                for arrival in self.drain(link, 1, short=not event & GONE):
                    if not arrival[1]:
                        until -= END_SECONDS
                    yield arrival

    def drain(
        self, link: Link, reads: int, *, short: bool = False
    ) -> Iterator[tuple[Link, bytes]]:
        """Send and read until there is no more, or `reads` times; then it is unfinished.

        `short`: a short read means that there is no more. That is so only while neither an end nor
        an error can follow the bytes.
        """
        fd = link.fd
        self.later(link)  # until it is done; it stays so if the caller stops the round
        link.flush()
        for _ in range(reads):
            size, failed = 0, False
            try:
                raw = os.read(fd, READ_SIZE)
                size = len(raw)
            except BlockingIOError:
                break
            except OSError as err:
                raw, failed = link.end(reason(err)), True
            if not size and link.unsent and not failed:
                # It has shut down its sending side and still reads: it gets its answers first. The
                # edge that reports room for them leads here again.
                break
            data = link.receive(raw)
            if data is not None:
                yield link, data
                if link.fd != fd:
                    return  # closed by its owner
                if not data:
                    self.done(link)
                    return
                if link.broken or (link.inbound is not None and link.inbound.ended):
                    self.done(link)
                    yield link, b""
                    return
            if not size or (short and size < READ_SIZE):
                break
        else:
            self.later(link)
            return
        self.done(link)
        if link.broken:
            yield link, b""
