"""Connections of which the new program is told while devices are still served.

Most of what a handover takes is their number. So the other program makes them ready beforehand,
and hears then only of those that have had something to say since.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import trio

from devgate.gateway.devices.connection import Connection
from devgate.gateway.devices.moving import Row, is_plain, pack
from devgate.gateway.gateway import Gateway
from devgate.net.link import Link
from devgate.upgrade.channel import MAX_FDS, Channel

AT_ONCE = 100  # connections in a message: devices are answered between two


class Rest(NamedTuple):
    """What is left to be told once nothing changes any more. Places are those of `Ahead`."""

    moved: dict[Connection, None]  # all that move
    gone: Sequence[int]
    again: Sequence[tuple[int, Row]]
    fresh: Sequence[tuple[int, Row]]  # with their descriptors


class Ahead:
    """What was told of connections, and which of it still holds."""

    def __init__(self, gateway: Gateway) -> None:
        self._desk = gateway.desk
        self._presence = gateway.presence
        # When each was heard last, in the order in which they were told.
        self._announced: dict[Connection, float] = {}

    async def tell(self, channel: Channel, clock: float) -> None:
        """Tell of those that have registered and wait for nothing. Raises Broken."""
        links = iter(list(self._desk.connections))
        while some := list(islice(links, AT_ONCE)):
            fds: list[int] = []
            rows: list[Row] = []
            for connection, fd, row in self._packed(some):
                if is_plain(row):
                    self._announced[connection] = connection.heard
                    fds.append(fd)
                    rows.append(row)
            await channel.send("ahead", fds, clock=clock, rows=rows, last=False)
            await trio.lowlevel.checkpoint()
        await channel.send("ahead", clock=clock, rows=[], last=True)

    def rest(self) -> Rest:
        """What is left. Nothing is read or sent any more."""
        moved: dict[Connection, None] = {}
        changed: dict[Connection, int] = {}
        connections, get = self._desk.connections, self._presence.get
        for place, (one, heard) in enumerate(self._announced.items()):
            link = one.link
            # Whatever a device says is heard; what it is sent is in the link until the kernel has
            # it, or counted there.
            if (
                one.heard == heard
                and not one.why
                and not link.unsent
                and link.outbound is None
                and not link.broken
                and one.announced
                and not one.waits
                and get(one.session.imei) is one  # type: ignore[arg-type]
            ):
                moved[one] = None
            else:
                changed[one] = place
        links = [one.link for one in changed if one.link in connections]
        links += [link for link, one in connections.items() if one not in self._announced]
        again: list[tuple[int, Row]] = []
        fresh: list[tuple[int, Row]] = []
        for one, fd, row in self._packed(links):
            moved[one] = None
            place = changed.pop(one, -1)
            if place < 0:
                fresh.append((fd, row))
            else:
                again.append((place, row))
        return Rest(moved, list(changed.values()), again, fresh)

    def _packed(self, links: Sequence[Link]) -> Iterator[tuple[Connection, int, Row]]:
        connections = self._desk.connections
        by_fd = {link.fd: link for link in links if link in connections}
        for fd, row in pack(self._desk, self._presence, by_fd.values()):
            yield connections[by_fd[fd]], fd, row


def parts(rest: Sequence[tuple[int, Row]]) -> Iterator[Sequence[tuple[int, Row]]]:
    """As many as go into one message."""
    for at in range(0, len(rest), MAX_FDS):
        yield rest[at : at + MAX_FDS]
