"""Sends connections to the new program while devices are still served.

The time of a handover depends mostly on the number of connections. So the new program prepares
them beforehand. During the handover it gets only those that have changed since.
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

MESSAGE_CONNECTIONS = 100  # connections in a message: devices are answered between two


class Remainder(NamedTuple):
    """What must still be sent once nothing changes any more. An int is a place in `Ahead`."""

    moved: dict[Connection, None]  # all that move
    gone: Sequence[int]
    changed: Sequence[tuple[int, Row]]
    fresh: Sequence[tuple[int, Row]]  # with their descriptors


class Ahead:
    """Which connections were sent ahead, and which of them have not changed since."""

    def __init__(self, gateway: Gateway) -> None:
        self._desk = gateway.desk
        self._presence = gateway.presence
        # When each had last been heard, in the order in which they were sent.
        self._announced: dict[Connection, float] = {}

    async def tell(self, channel: Channel, clock: float) -> None:
        """Send those that have registered and wait for nothing. Raises Broken."""
        links = iter(list(self._desk.connections))
        while some := list(islice(links, MESSAGE_CONNECTIONS)):
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

    def remainder(self) -> Remainder:
        """What must still be sent. Nothing is read from or sent to devices any more."""
        moved: dict[Connection, None] = {}
        changed: dict[Connection, int] = {}
        connections, get = self._desk.connections, self._presence.get
        for place, (one, heard) in enumerate(self._announced.items()):
            link = one.link
            # Bytes from a device change `heard`. Bytes to a device wait in the link until the
            # kernel has taken them, or are counted there.
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
        repacked: list[tuple[int, Row]] = []
        fresh: list[tuple[int, Row]] = []
        for one, fd, row in self._packed(links):
            moved[one] = None
            place = changed.pop(one, -1)
            if place < 0:
                fresh.append((fd, row))
            else:
                repacked.append((place, row))
        return Remainder(moved, list(changed.values()), repacked, fresh)

    def _packed(self, links: Sequence[Link]) -> Iterator[tuple[Connection, int, Row]]:
        connections = self._desk.connections
        by_fd = {link.fd: link for link in links if link in connections}
        for fd, row in pack(self._desk, self._presence, by_fd.values()):
            yield connections[by_fd[fd]], fd, row


def parts(rows: Sequence[tuple[int, Row]]) -> Iterator[Sequence[tuple[int, Row]]]:
    """The rows, in slices that fit into one message."""
    for at in range(0, len(rows), MAX_FDS):
        yield rows[at : at + MAX_FDS]
