"""Limits of connections that have not registered: of bytes, attempts and places."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from devgate.gateway.devices.attempts import Attempts
from devgate.gateway.devices.connection import Connection
from devgate.gateway.devices.tails import Tails
from devgate.gateway.devices.unknown import UnknownDevices
from devgate.gateway.refusals import Refusals
from devgate.net.addresses import host_of, network_of
from devgate.net.limits import Crowd
from devgate.net.link import Link
from devgate.protocol.frames import Event, Frame

MAX_BYTES = 4096  # that a connection may send without a good registration
MAX_REFUSED = 5  # registrations of one that are refused (300, 401); then it is closed
# After this many refused registrations from one network within WINDOW_SECONDS, all registrations
# from it are answered DELAY_SECONDS later, known or not: so IMEIs can be guessed only slowly.
SLOW_AFTER = 20
WINDOW_SECONDS = 60.0
DELAY_SECONDS = 2.0
MAX_NETWORKS = 10_000  # that are counted; the one that was refused longest ago is forgotten
# A connection that is older than this may be closed in favour of others.
OLD_SECONDS = 5.0
# As OLD_SECONDS, in favour of others of the same address. It is longer, because TCP delays a
# registration by up to 7 s in a storm that overflows the kernel's queue.
CROWDED_SECONDS = 15.0
MAX_EXAMINED = 4096  # connections among which those to be closed are chosen
# Instead of register_timeout, while more than half of the places are taken.
REGISTER_SECONDS = 30.0


@dataclass(slots=True)
class _Refused:
    since: float  # the window's beginning
    count: int = 0
    slow_until: float = float("-inf")


class Holds(Protocol):
    """Holds registrations of devices that are not in memory until they were looked up."""

    def now(self, connection: Connection, events: Sequence[Event]) -> Sequence[Event]:
        """Those of the events that can be answered at once. `connection` has not registered."""

    def ended(self, connection: Connection) -> None:
        """The connection has ended, and had not registered."""


class Unregistered:
    """The connections of devices that have not registered, oldest first."""

    def __init__(
        self,
        refusals: Refusals,
        unknown: UnknownDevices,
        attempts: Attempts,
        holds: Holds | None = None,
    ) -> None:
        self.refusals = refusals
        self.unknown = unknown
        self.attempts = attempts
        self.holds = holds  # of a node; otherwise all devices are in memory
        self._connections: dict[Connection, None] = {}
        self._refused: OrderedDict[str, _Refused] = OrderedDict()
        self._any_slow_until = float("-inf")
        self._delayed: Tails[Connection] = Tails(DELAY_SECONDS)
        self._events: dict[Connection, list[Event]] = {}  # of those that are delayed
        # Those that were crowded out and have not ended yet, and how many of each crowd.
        self._leaving: set[Connection] = set()
        self._closing: Counter[Crowd] = Counter()

    def __len__(self) -> int:
        return len(self._connections)

    # Connections begin, register and end

    def began(self, connection: Connection) -> None:
        """A connection has begun, and has not registered."""
        self._connections[connection] = None

    def registered(self, connection: Connection) -> None:
        """The connection has registered."""
        self._connections.pop(connection, None)
        connection.link.registered = True
        if connection.link.crowd is not None:
            connection.link.crowd.registered()

    def ended(self, connection: Connection) -> None:
        """A connection has ended that had not registered. Others are not known here."""
        if self.holds is not None:
            self.holds.ended(connection)
        self._connections.pop(connection, None)
        self._delayed.done(connection)
        self._events.pop(connection, None)
        crowd = connection.link.crowd
        if crowd is not None and connection in self._leaving:
            self._leaving.discard(connection)
            self._closing[crowd] -= 1
            if not self._closing[crowd]:
                del self._closing[crowd]

    # Registrations

    def refuse(self, connection: Connection, event: Event, reply: bytes, now: float) -> bool:
        """A registration was refused (300, 401). True: there were too many on this connection."""
        assert isinstance(event, Frame), "nothing else is answered so"
        frame, address = event, connection.link.address
        why = "unknown" if reply[3:6] == b"300" else "disabled"
        if why == "unknown":
            self.unknown.registers(frame.imei, address, now)
        self.attempts.refused(frame.imei, why, address)
        self.refusals.refuse("device", why, host_of(address))
        network = network_of(address)
        refused = self._refused.pop(network, None)
        if refused is None or now - refused.since >= WINDOW_SECONDS:
            refused = _Refused(now, 0, refused.slow_until if refused else float("-inf"))
        self._refused[network] = refused
        if len(self._refused) > MAX_NETWORKS:
            self._refused.popitem(last=False)
        refused.count += 1
        if refused.count >= SLOW_AFTER:
            refused.slow_until = self._any_slow_until = now + WINDOW_SECONDS
        connection.refused += 1
        return connection.refused >= MAX_REFUSED

    def wrong(self, connection: Connection, event: Event, reply: bytes) -> None:
        """A registered connection has sent an HT; 401: with another IMEI than its own."""
        if reply[3:6] == b"401":
            assert isinstance(event, Frame), "nothing else is answered so"
            address, registered_as = connection.link.address, connection.session.imei
            self.attempts.refused(event.imei, "wrong", address, registered_as)

    def slow(self, address: str, now: float) -> bool:
        """Whether registrations from its network are answered later."""
        if now >= self._any_slow_until:
            return False
        refused = self._refused.get(network_of(address))
        return refused is not None and now < refused.slow_until

    def now(self, connection: Connection, events: Sequence[Event], now: float) -> Sequence[Event]:
        """Those of the events that may be answered now; the others wait here, in order."""
        if now < self._any_slow_until or self._events:  # a network is slow, or somebody waits
            events = self._in_time(connection, events, now)
        return events if self.holds is None else self.known(connection, events)

    def known(self, connection: Connection, events: Sequence[Event]) -> Sequence[Event]:
        """Those of the events that can be answered from memory; at a node others wait."""
        if self.holds is None or connection.request_start or not events:
            return events
        return self.holds.now(connection, events)

    def _in_time(
        self, connection: Connection, events: Sequence[Event], now: float
    ) -> Sequence[Event]:
        waiting = self._events.get(connection)
        if waiting is not None:
            waiting.extend(events)
            return ()
        if not self.slow(connection.link.address, now):
            return events
        for at, event in enumerate(events):
            if isinstance(event, Frame) and event.command == "HT" and event.status == "000":
                self.delay(connection, events[at:], now)
                return events[:at]
        return events

    def delay(self, connection: Connection, events: Sequence[Event], since: float) -> None:
        """These events wait, since that time."""
        self._events[connection] = list(events)
        self._delayed.waits(connection, since)

    def delayed(self) -> dict[Connection, tuple[float, Sequence[Event]]]:
        """The connections whose registration waits: since when, and the events behind it."""
        since = self._delayed.since()
        return {one: (since[one], events) for one, events in self._events.items()}

    def due(self, now: float) -> Iterator[tuple[Connection, list[Event]]]:
        """The connections whose registration has waited long enough, and the events behind it."""
        for connection in self._delayed.due(now):
            yield connection, self._events.pop(connection)

    def next_deadline(self) -> float:
        """When an answer that is delayed is due (trio's clock); infinity if none is."""
        return self._delayed.next_deadline()

    def too_much(self, connection: Connection) -> None:
        """It has sent MAX_BYTES and did not register."""
        if not connection.why:
            self._close(connection, "bytes", "it sent much and did not register")

    # Places

    def make_room(self, limit: int, now: float, waits: Callable[[Link], bool]) -> int:
        """End at most `limit` old silent connections, of the busiest network first. Returns how
        many."""
        old = [
            connection
            for connection in islice(self._connections, MAX_EXAMINED)
            if not connection.why
            and now - connection.connected >= OLD_SECONDS
            and not waits(connection.link)
        ]
        old.sort(key=lambda one: -one.link.crowd.unregistered if one.link.crowd else 0)
        for connection in old[:limit]:
            self._close(connection, "full", "its place is needed, and it did not register")
        return len(old[:limit])

    def crowds_out(self, connection: Connection, now: float) -> bool:
        """Whether it is old and its network has too many that have not registered."""
        crowd = connection.link.crowd
        if crowd is None or now - connection.connected < CROWDED_SECONDS or connection.why:
            return False
        return crowd.crowded(less=self._closing[crowd])

    def crowd_out(self, connection: Connection) -> None:
        """Close it in favour of others of its network."""
        crowd = connection.link.crowd
        if crowd is not None and not connection.why:
            self._leaving.add(connection)
            self._closing[crowd] += 1
            self._close(connection, "unregistered", "too many from its address did not register")

    def _close(self, connection: Connection, why: str, words: str) -> None:
        self.refusals.refuse("device", why, host_of(connection.link.address))
        connection.end(words)
