"""The connections of devices, as values: one gateway hands them over to another program.

A connection is its socket and what is known of it here: its device, the bytes that are no frame
yet and those that could not be sent yet. Both programs have descriptors of the same socket.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from devgate.gateway.devices.connection import Connection
from devgate.gateway.devices.desk import Desk
from devgate.gateway.devices.presence import Presence
from devgate.model import Imei
from devgate.net.filters import Proxied
from devgate.net.limits import Crowd, Crowds
from devgate.net.link import Link, Mark, Meter
from devgate.protocol.decoder import Decoder
from devgate.protocol.frames import Event, Frame, Heartbeat, Malformed, ShortEcho
from devgate.protocol.quick import NOT_ASKED
from devgate.protocol.session import Session

# What is known of a connection, as pack() orders it. In the last place is what few connections
# have, as a dict, or None.
Row = Sequence[Any]
IMEI_PLACE = 5
# A link as the door for devices makes it, with a PROXY header still to come.
MakeLink = Callable[[int, str, Crowd | None], Link]

_KINDS: Mapping[str, Callable[..., Event]] = {
    "heartbeat": Heartbeat, "echo": ShortEcho, "malformed": Malformed, "frame": Frame,
}  # fmt: skip


def moves(link: Link) -> bool:
    """Whether another program can go on with it: TLS keeps secrets in memory that has no form."""
    outbound = link.outbound
    if isinstance(outbound, Meter):
        outbound = outbound.inner
    inbound = link.inbound
    return outbound is None and (inbound is None or isinstance(inbound, Proxied))


def is_plain(row: Row) -> bool:
    """Whether a row of pack() is of a device that has registered, and nothing is under way."""
    return row[IMEI_PLACE] is not None and row[-1] is None


def pack(desk: Desk, presence: Presence, links: Iterable[Link]) -> Iterator[tuple[int, Row]]:
    """The descriptor of each of these connections that moves, and what is known of it. Times are
    trio's clock of this process, but for `registered_at`."""
    tails, grace = desk.watch.tails.since(), desk.watch.grace.since()
    delayed = desk.unregistered.delayed()
    for link in links:
        connection = desk.connections[link]
        if connection.why or link.broken or not moves(link):
            continue
        session, decoder = connection.session, connection.decoder
        more: dict[str, Any] = {}
        if decoder.state != (decoder.tail, b"", 0):
            _, before, reported = decoder.state
            more["decoder"] = [_text(before), reported]
        if link.unsent:
            more["unsent"] = _text(link.unsent)
        if isinstance(link.outbound, Meter):
            more["written"] = link.outbound.written
        if isinstance(link.inbound, Proxied):
            more["header"] = _text(link.inbound.held)
        if link.crowd is None:
            more["uncounted"] = True
        if session.echoing or session.malformed or session.receipts:
            more["session"] = [
                session.echoing, session.malformed, session.malformed_answered,
                [[*key, at] for key, at in (session.receipts or {}).items()],
            ]  # fmt: skip
        if connection.waits:
            more["tail_since"], more["grace_since"] = tails.get(connection), grace.get(connection)
        if not connection.announced:
            more["announced"] = False
        if session.imei is None:
            more["unregistered"] = [connection.received, connection.refused]
            if connection in delayed:
                since, events = delayed[connection]
                more["delayed"] = [since, [_event(event) for event in events]]
        elif presence.get(session.imei) is not connection:
            continue  # another one has taken its place, and it is about to be closed
        yield (
            link.fd,
            (
                link.address, connection.connected, connection.heard, connection.registered_at,
                connection.generation, session.imei, _text(decoder.tail), more or None,
            ),
        )  # fmt: skip


class MovedConnection(Connection):
    """A connection that the desk has already when its task begins."""

    __slots__ = ()

    def begin(self) -> bool:
        """As Connection.begin()."""
        if self.why:
            self.finish()
        return not self.why


class UnpackedConnections:
    """Puts connections into the desk of the new program, which reads none of them yet."""

    def __init__(
        self,
        desk: Desk,
        presence: Presence,
        crowds: Crowds,
        make_link: MakeLink,
        max_unsent: int,
        shift: float,
    ) -> None:
        """`shift` is added to times."""
        # By their places, which are the order of their arrival.
        self.connections: dict[int, MovedConnection] = {}
        self._places = -1
        self._desk = desk
        self._presence = presence
        self._crowds = crowds
        self._make_link = make_link
        self._max_unsent = max_unsent
        self._shift = shift
        # Connections whose tails wait, and since when.
        self._tails: list[tuple[float, MovedConnection]] = []
        self._grace: list[tuple[float, MovedConnection]] = []
        self._delayed: list[tuple[float, MovedConnection, list[Event]]] = []

    def again(self, place: int, row: Row) -> None:
        """A connection that was put here has changed: replace it by this row."""
        former = self._forget(place)
        fd, former.link.fd = former.link.fd, -1
        self.one(fd, row, place)

    def gone(self, place: int) -> None:
        """A connection that was put here has ended."""
        former = self._forget(place)
        fd, former.link.fd = former.link.fd, -1
        os.close(fd)

    def _forget(self, place: int) -> MovedConnection:
        """Remove a connection that was put here. Its device has registered."""
        former = self.connections.pop(place)
        imei, crowd = former.session.imei, former.link.crowd
        assert imei is not None, "only registered ones are sent ahead"
        self._desk.lifetimes.forget(former)
        self._presence.forget(imei, former)
        if crowd is not None:
            self._crowds.leave(crowd, registered=True)
        return former

    def one(self, fd: int, row: Row, place: int | None = None) -> None:
        """Put a row of pack() here, with its descriptor in this process."""
        address, connected, heard, registered_at, generation, imei, tail, more = row
        more = more or {}
        registered = imei is not None
        crowd = None if "uncounted" in more else self._crowds.enter(address)
        if "header" in more:
            link = self._make_link(fd, address, crowd)
            if isinstance(link.inbound, Proxied):
                link.inbound.go_on(more["header"].encode("latin-1"))
        else:
            link = Link(fd, address, crowd, max_unsent=self._max_unsent, registered=registered)
        connection = MovedConnection(link, self._desk.lifetimes, connected + self._shift)
        connection.heard = heard + self._shift
        connection.registered_at = registered_at
        connection.generation = generation
        connection.decoder.set_tail(tail.encode("latin-1"))
        if more:
            self._more(connection, more)
        if registered:
            connection.session.imei = Imei(imei)
            connection.request_start = NOT_ASKED
            if crowd is not None:
                crowd.registered()
            self._presence.moved(Imei(imei), connection)
        self._desk.lifetimes.moved(connection)
        self._places += place is None
        self.connections[self._places if place is None else place] = connection

    def _more(self, connection: MovedConnection, more: Mapping[str, Any]) -> None:
        shift, link = self._shift, connection.link
        if "decoder" in more:
            before, reported = more["decoder"]
            tail = connection.decoder.tail
            connection.decoder = Decoder(tail, before.encode("latin-1"), reported)
        if "unsent" in more:
            link.unsent = bytearray(more["unsent"].encode("latin-1"))
        if "written" in more:
            link.mark_at(0, more["written"])
        if "session" in more:
            echoing, malformed, malformed_answered, receipts = more["session"]
            known = {(command, status): at + shift for command, status, at in receipts}
            connection.session = Session(
                None, echoing, malformed, malformed_answered + shift, known or None
            )
        connection.announced = more.get("announced", True)
        connection.received, connection.refused = more.get("unregistered", (0, 0))
        if more.get("tail_since") is not None:
            connection.waits = True
            self._tails.append((more["tail_since"] + shift, connection))
        if more.get("grace_since") is not None:
            self._grace.append((more["grace_since"] + shift, connection))
        if "delayed" in more:
            since, events = more["delayed"]
            self._delayed.append((since + shift, connection, [_made(one) for one in events]))

    def end(self) -> None:
        """All connections are here: set their deadlines."""
        for since, connection in sorted(self._tails, key=itemgetter(0)):
            self._desk.watch.tails.waits(connection, since)
        for since, connection in sorted(self._grace, key=itemgetter(0)):
            self._desk.watch.grace.waits(connection, since)
        for since, connection, events in sorted(self._delayed, key=itemgetter(0)):
            self._desk.unregistered.delay(connection, events, since)


def remark(connection: object, place: int) -> Mark:
    """The mark at that place of a connection that was handed over."""
    assert isinstance(connection, Connection), "marks are of devices' connections"
    return connection.link.mark_at(place, place)


def _text(data: bytes | bytearray) -> str:
    return data.decode("latin-1")


def _event(event: Event) -> list[Any]:
    if isinstance(event, Frame):
        return ["frame", event.status, event.imei, event.command, _text(event.data)]
    if isinstance(event, Malformed):
        return ["malformed", _text(event.raw)]
    return ["heartbeat" if isinstance(event, Heartbeat) else "echo"]


def _made(packed: Sequence[Any]) -> Event:
    kind, *values = packed
    if values:
        values[-1] = values[-1].encode("latin-1")
    if kind == "frame":
        values[1] = Imei(values[1])
    return _KINDS[kind](*values)
