"""The desk: decodes and answers the bytes of all devices. Nothing in here awaits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import trio

from devgate.gateway.commands.dispatcher import Dispatcher
from devgate.gateway.counters import BEAT, FrameCounts
from devgate.gateway.devices.attempts import Attempts
from devgate.gateway.devices.connection import Connection
from devgate.gateway.devices.effects import Effects
from devgate.gateway.devices.lifetimes import Lifetimes
from devgate.gateway.devices.parked_task import MakeTask, as_object
from devgate.gateway.devices.presence import Presence
from devgate.gateway.devices.rounds import Rounds
from devgate.gateway.devices.taps import Seen, Tap, Taps, because
from devgate.gateway.devices.unknown import UnknownDevices
from devgate.gateway.devices.unregistered import MAX_BYTES, MAX_REFUSED, Holds, Unregistered
from devgate.gateway.devices.watch import TAIL_IS_DUE, Watch
from devgate.gateway.known.directory import Directory
from devgate.gateway.refusals import Refusals
from devgate.gateway.storage import Records
from devgate.model import Imei
from devgate.net.limits import Crowds
from devgate.net.link import Link
from devgate.net.poller import Poller
from devgate.protocol.frames import HEADER_SIZE, Event
from devgate.protocol.quick import LONE, LONGEST, NOT_ASKED, answer, lone, request_head
from devgate.protocol.session import react

if TYPE_CHECKING:
    from devgate.config.device import DeviceSettings

log = logging.getLogger("devgate.devices")


class Desk:
    """Decodes, answers and acts, for all connections. `Rounds` reads."""

    def __init__(
        self,
        poller: Poller,
        settings: DeviceSettings,
        directory: Directory,
        presence: Presence,
        dispatcher: Dispatcher,
        records: Records,
        refusals: Refusals | None = None,
        crowds: Crowds | None = None,
        crowded: Callable[[], bool] = lambda: False,
        make_task: MakeTask = as_object,
        holds: Holds | None = None,
    ) -> None:
        """`crowds` are those that the acceptor counts, and `crowded` is the acceptor's, too.
        `make_task` gives a connection's task its form (`parked_task`). `holds` is a node's."""
        # By link. Each is added and removed by its own task (Lifetimes); the desk's task and the
        # sweep (Watch.run) read it, and change the fields of a Connection.
        self.connections: dict[Link, Connection] = {}
        # Changed by the tasks of callers that tap; attach() sets the tap of connections.
        self.taps = Taps()
        # Counted by the desk's task and the sweep; read by /metrics and /healthz.
        self.counts = FrameCounts()
        self._quick_counts = self.counts.quick
        # Changed by connections' tasks, the desk's, the sweep, and the acceptor (make_room()).
        self.unregistered = Unregistered(
            refusals or Refusals(), UnknownDevices(records), Attempts(records), holds
        )
        self._effects = Effects(presence, dispatcher, records, self.taps, self.unregistered)
        self._directory = directory
        self._presence = presence
        self._settings = settings  # replaced by a reload, in the task that acts on signals
        self.rounds = Rounds(self, poller, presence, dispatcher)
        self.watch = Watch(
            self,
            self.rounds,
            poller,
            presence,
            self._effects,
            self.unregistered,
            settings,
            crowded,
        )
        self._tails = self.watch.tails
        self.lifetimes = Lifetimes(
            self.connections, poller, presence, dispatcher, self.unregistered, self.watch,
            self.taps, crowds or Crowds(), make_task, relayed=settings.proxy_protocol,
        )  # fmt: skip

    def apply(self, settings: DeviceSettings) -> None:
        """Use these timeouts and limits from now on."""
        self._settings = settings
        self.lifetimes.relayed = settings.proxy_protocol
        self.watch.apply(settings)

    def attach(self, imei: Imei | None, tap: Tap | None) -> None:
        """Let a tap see a device's connection; for None, all that have not registered."""
        if imei is not None:
            if (connection := self._presence.get(imei)) is not None:
                connection.tap = tap
            return
        for connection in self.connections.values():
            if connection.session.imei is None:
                connection.tap = tap

    def receive(self, connection: Connection, data: bytes | None, now: float) -> None:
        """Act on these bytes of a connection: answers and news, or its end.

        `data` is one read, empty at the end of the stream, or TAIL_IS_DUE to judge a tail that has
        waited long enough. `now` is trio's clock. Rules: protocol.md sections 2 and 3.
        """
        if connection.why:
            return  # it has ended: later bytes change nothing
        decoder = connection.decoder
        events: list[Event]
        if data is TAIL_IS_DUE:
            events = decoder.expire()
        elif data:
            if not connection.waits:
                if decoder.tail and now - connection.heard >= self._tails.wait:
                    # Heartbeats of a registered device, which nobody waited for.
                    decoder.set_tail()
                if connection.request_start and not decoder.tail and self._quick(connection, data):
                    connection.heard = now
                    return
            if not connection.request_start:
                connection.received += len(data)
            connection.heard = now
            frame = None if decoder.tail else lone(data)
            events = decoder.feed(data) if frame is None else [frame]
        else:
            connection.end(connection.link.why or "closed by the device")
            return
        ready: Sequence[Event] = events
        if not connection.request_start:
            ready = self.unregistered.now(connection, events, now)
        self.answer(connection, data or b"", ready, now)
        if not connection.request_start and connection.received >= MAX_BYTES:
            self.unregistered.too_much(connection)
        if decoder.tail or connection.waits:
            self.watch.tend(connection, now)

    def answer_held(self, connection: Connection, events: Sequence[Event]) -> None:
        """Answer events that had to wait. An exception ends only this connection."""
        try:
            self.answer(connection, b"", events, trio.current_time())
        except Exception:
            log.exception("connection crashed imei=%s", connection.session.imei)
            self.counts.faults += 1
            connection.end("a fault of the gateway")

    def _quick(self, connection: Connection, data: bytes) -> bool:
        """The common case: one request or heartbeat of a registered device. False: it is not."""
        if connection.tap is not None:
            return False
        size = len(data)
        if size <= LONGEST:
            tail = LONE.get(data)
            if tail is None:
                return False
            connection.decoder.tail = tail
            self._quick_counts[BEAT] += 1
            return True
        session = connection.session
        assert session.imei is not None, "it is registered"
        begins = connection.request_start
        if begins is NOT_ASKED:
            begins = connection.request_start = request_head(session.imei)
        wire = answer(begins, session.imei, data, self._directory)
        if wire is None:
            return False
        session.malformed = 0
        if size == HEADER_SIZE:
            self._quick_counts[data[-1]] += 1
        else:
            self.counts.quickly(data)
        if not connection.link.send(wire):
            connection.end("it does not read")
        return True

    def answer(
        self, connection: Connection, data: bytes, events: Iterable[Event], now: float
    ) -> None:
        """Answer all events of one read in one write, in order."""
        session = connection.session
        seen: list[Seen] = []
        # For all of this read: the tap of unregistered connections, if it is unregistered now.
        tap = connection.tap
        # The device may register within this read: then its tap gets all of the read.
        tapped = tap is not None or (session.imei is None and len(self.taps) > 0)
        wire, counts = b"", self.counts
        for event in events:
            bound = session.imei
            reply, news = react(session, event, self._directory, now)
            if news is not None:
                reply += self._effects.on(connection, news, now)
            counts.said(event, reply)
            wire += reply
            if tapped:
                seen.append((event, reply, bound))
            if news is None and reply[21:HEADER_SIZE] == b"HT":
                if bound is not None:
                    self.unregistered.wrong(connection, event, reply)
                elif self.unregistered.refuse(connection, event, reply, now):
                    break
        tap = connection.tap or tap
        if tap is not None:
            tap.received(session.imei, connection.link.address, data, seen)
        if wire:
            why = because(seen) if tap is not None else None
            if tap is not None and connection.tap is None:  # it was unregistered until now
                tap.sent(session.imei, connection.link.address, wire, why)
            connection.transmit(wire, why)
        if session.malformed >= self._settings.max_malformed:
            connection.end("it does not speak the protocol")
        if connection.refused >= MAX_REFUSED:
            connection.end("too many registrations were refused")
