"""Deadlines of devices' connections: tails, delayed registrations, silence."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NoReturn

import trio

from devgate.alarm import Alarm
from devgate.gateway.devices.connection import Connection
from devgate.gateway.devices.effects import Effects
from devgate.gateway.devices.presence import Presence
from devgate.gateway.devices.rounds import Answers, Rounds
from devgate.gateway.devices.tails import Tails
from devgate.gateway.devices.unregistered import REGISTER_SECONDS, Unregistered
from devgate.net.poller import Poller
from devgate.protocol.frames import Event, Heartbeat

if TYPE_CHECKING:
    from devgate.config.device import DeviceSettings

SWEEP_SECONDS = 1.0  # between two searches for silent connections
LINKS_A_TURN = 4096  # connections that the sweep passes before other tasks have their turn
EXAMINED_A_TURN = 256  # of these, those that are examined: about 700 us
# Tails, and as many heartbeats and registrations, that are judged before other tasks have their
# turn: about 3 ms.
JUDGED_A_TURN = 64
TAIL_IS_DUE = None  # instead of bytes: the tail has waited long enough


class Watch:
    """Judges tails and ends silent connections, each on time.

    Before it judges a connection, it has the bytes read that came in time.
    """

    def __init__(
        self,
        desk: Answers,
        rounds: Rounds,
        poller: Poller,
        presence: Presence,
        effects: Effects,
        unregistered: Unregistered,
        settings: DeviceSettings,
        crowded: Callable[[], bool],
    ) -> None:
        self.grace: Tails[Connection] = Tails(settings.heartbeat_grace)
        self.tails: Tails[Connection] = Tails(settings.partial_timeout)
        self._desk = desk
        self._rounds = rounds
        self._poller = poller
        self._presence = presence
        self._effects = effects
        self._unregistered = unregistered
        self._settings = settings
        self._crowded = crowded
        self._alarm = Alarm()  # set by tails that are due before the sweep would look

    def apply(self, settings: DeviceSettings) -> None:
        """Use these timeouts from now on."""
        self._settings = settings
        self.grace.wait = settings.heartbeat_grace
        self.tails.wait = settings.partial_timeout

    def ended(self, connection: Connection) -> None:
        """A connection that `waits` has ended. Others have no deadline here."""
        self.grace.done(connection)
        self.tails.done(connection)

    def tend(self, connection: Connection, now: float) -> None:
        """Set the deadline of a connection's tail, if it needs one."""
        decoder = connection.decoder
        if decoder.tail and connection.session.imei is None:
            self.grace.waits(connection, now)
        else:
            self.grace.done(connection)
        # A tail that can only be heartbeats of a registered device is judged when more comes.
        connection.waits = bool(decoder.tail) and (
            connection.session.imei is None or not decoder.beats()
        )
        if connection.waits:
            self.tails.waits(connection, now)
            due = now + min(self.grace.wait, self.tails.wait)
            if due < self._alarm.at:
                self._alarm.advance(due)
        else:
            self.tails.done(connection)

    async def run(self) -> NoReturn:
        """Judge and sweep for ever."""
        counts, unregistered = self._desk.counts, self._unregistered
        counts.progress = looked = trio.current_time()
        while True:
            due = min(
                self.grace.next_deadline(),
                self.tails.next_deadline(),
                unregistered.next_deadline(),
            )
            planned = await self._alarm.wait(min(due, looked + SWEEP_SECONDS))
            now = trio.current_time()
            counts.lag.observe(now - planned)
            self.judge(now)
            if now >= looked + SWEEP_SECONDS:
                looked = now
                counts.look(now, self._poller.pending())
                self._effects.roll(now)
                self._presence.roll(now)
                unregistered.unknown.roll(now)
                unregistered.attempts.roll(now)
                await self.sweep(now)

    def judge(self, now: float) -> None:
        """Judge tails that have waited long enough, after what came in time was read.

        If there are more than JUDGED_A_TURN, the next call judges the others.
        """
        for connection in islice(self.grace.due(now), JUDGED_A_TURN):
            self._rounds.read(self._poller.drain(connection.link), now)
            if connection not in self.grace and connection.decoder.early():
                beat = self._unregistered.known(connection, [Heartbeat()])
                self._desk.answer(connection, b"", beat, now)
        for connection in islice(self.tails.due(now), JUDGED_A_TURN):
            self._rounds.read(self._poller.drain(connection.link), now)
            if connection not in self.tails:
                connection.waits = False
                self.grace.done(connection)
                self._rounds.read([(connection.link, TAIL_IS_DUE)], now)
        for connection, events in islice(self._unregistered.due(now), JUDGED_A_TURN):
            self._answer_later(connection, events, now)

    def _answer_later(self, connection: Connection, events: list[Event], now: float) -> None:
        """A registration that had to wait, and what came behind it."""
        if connection.why:
            return
        self._desk.answer(connection, b"", self._unregistered.known(connection, events[:1]), now)
        remaining: Sequence[Event] = events[1:]
        if not connection.request_start:
            remaining = self._unregistered.now(connection, remaining, now)
        if remaining and not connection.why:
            self._desk.answer(connection, b"", remaining, now)

    async def sweep(self, now: float) -> None:
        """End silent connections. In slices, so that other tasks have their turn."""
        links, looks = list(self._desk.connections), 0
        for start in range(0, len(links), LINKS_A_TURN):
            if start:
                await trio.lowlevel.checkpoint()
            silent_since = now - self._settings.idle_timeout
            crowded_timeout = REGISTER_SECONDS if self._crowded() else math.inf
            for link in islice(links, start, start + LINKS_A_TURN):
                connection = self._desk.connections.get(link)
                # Nearly all need no further check.
                if connection and (
                    connection.heard <= silent_since or not connection.request_start
                ):
                    self._look(connection, now, crowded_timeout)
                    looks += 1
                    if looks % EXAMINED_A_TURN == 0:
                        await trio.lowlevel.checkpoint()

    def _look(self, connection: Connection, now: float, crowded_timeout: float) -> None:
        if connection.too_late(now, self._settings, crowded_timeout):
            # A stalled loop must not make devices look silent.
            self._rounds.read(self._poller.drain(connection.link), now)
            if why := connection.too_late(now, self._settings, crowded_timeout):
                connection.end(why)
                return
        # In a storm its HT may wait to be read: then it is not ended.
        waits = self._poller.waits(connection.link)
        if (
            not connection.request_start
            and not waits
            and self._unregistered.crowds_out(connection, now)
        ):
            self._rounds.read(self._poller.drain(connection.link), now)
            if not connection.request_start:
                self._unregistered.crowd_out(connection)
