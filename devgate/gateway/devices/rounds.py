"""When devices' bytes are read: in rounds, and at once before something is judged."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NoReturn, Protocol

import trio

from devgate.gateway.commands.dispatcher import Dispatcher
from devgate.gateway.counters import FAST_SECONDS, FrameCounts
from devgate.gateway.devices.connection import Connection
from devgate.gateway.devices.presence import Presence
from devgate.net.link import Link
from devgate.net.poller import ROUND_LINKS, Poller
from devgate.pauses import Pauses
from devgate.protocol.frames import Event

BUSY_RATE = 4000  # arrivals a second: above that, arrivals are gathered
GATHER_SECONDS = 0.001  # for how long
RATE_WINDOW_SECONDS = 0.05  # over which arrivals are counted
ROUND_IN_FLIGHT = 32  # links of one round while commands are in flight: each takes many steps
CATCH_UP_SECONDS = 5.0  # after that, commands are judged even if bytes are unread


log = logging.getLogger("devgate.devices")


class Answers(Protocol):
    """Answers for all connections: the desk."""

    connections: dict[Link, Connection]
    counts: FrameCounts

    def receive(self, connection: Connection, data: bytes | None, now: float) -> None:
        """Act on these bytes of a connection."""

    def answer(
        self, connection: Connection, data: bytes, events: Iterable[Event], now: float
    ) -> None:
        """Answer these events of one connection."""


class Rounds:
    """Reads what the poller yields, and has the desk answer it. A round does not await, so that no
    other task runs in the middle of one."""

    def __init__(
        self, desk: Answers, poller: Poller, presence: Presence, dispatcher: Dispatcher
    ) -> None:
        self._desk = desk
        self._poller = poller
        self._presence = presence
        self._dispatcher = dispatcher

    async def run(self, pauses: Pauses | None = None) -> NoReturn:
        """Read for all connections, except during pauses.

        Each wake-up costs as much as several answers. Under load, and only while no command is
        in flight, there are fewer of them: what arrives within a millisecond is read together,
        without a wait for the epoll.
        """
        rate = 0.0  # arrivals a second, over RATE_WINDOW_SECONDS
        counts, dispatcher, poller = self._desk.counts, self._dispatcher, self._poller
        clock = trio.lowlevel.current_clock().current_time
        last, pauses = clock(), pauses or Pauses()
        while True:
            # Pauses.run() is not used: each wake-up would pass through that coroutine, too.
            async with pauses.running():
                while True:
                    # Whether the last round left bytes unread. What comes during the wait is read
                    # in this round.
                    behind = dispatcher.in_flight > 0 and poller.behind
                    if rate > BUSY_RATE and not dispatcher.in_flight and not poller.behind:
                        await trio.sleep(GATHER_SECONDS)
                    else:
                        await poller.wait()
                    now, max_links, count = clock(), ROUND_LINKS, 0
                    if dispatcher.in_flight:
                        max_links = ROUND_IN_FLIGHT
                        if behind:
                            count = self._hear_awaited(now)
                    count += self.read(poller.arrivals(max_links), now)
                    spent = clock() - now
                    counts.rounds += 1
                    counts.arrivals += count
                    counts.busy += spent
                    if spent > FAST_SECONDS:
                        counts.slow.observe(spent)
                    past = now - last + 1e-6
                    rate += (count / past - rate) * min(past / RATE_WINDOW_SECONDS, 1.0)
                    last = now

    def read(self, arrivals: Iterable[tuple[Link, bytes | None]], now: float) -> int:
        """Have the desk answer what has arrived. An exception in one connection ends only that
        one.

        Returns how many arrivals there were.
        """
        count, connections, receive = 0, self._desk.connections, self._desk.receive
        for link, data in arrivals:
            count += 1
            connection = connections[link]
            try:
                receive(connection, data, now)
            except Exception:
                log.exception("connection crashed imei=%s", connection.session.imei)
                self._desk.counts.faults += 1
                connection.end("a fault of the gateway")
        return count

    def _hear_awaited(self, now: float) -> int:
        """Read devices whose answers are awaited before a wave of heartbeats."""
        count = 0
        for imei in self._dispatcher.awaited(ROUND_IN_FLIGHT):
            if (connection := self._presence.get(imei)) is not None:
                count += self.read(self._poller.drain(connection.link), now)
        return count

    async def caught_up(self) -> None:
        """Return when all bytes that have arrived by now are read, or after CATCH_UP_SECONDS.

        It reads itself, as run() does, and does not wait for another task to read. A round that
        leaves nothing unread has read all that was there when it began.
        """
        counts, poller = self._desk.counts, self._poller
        until = trio.current_time() + CATCH_UP_SECONDS
        while True:
            now = trio.current_time()
            count = self._hear_awaited(now) if poller.behind else 0
            counts.arrivals += count + self.read(poller.arrivals(ROUND_IN_FLIGHT), now)
            done = not poller.behind or now >= until
            await trio.lowlevel.checkpoint()
            if done:
                return
