"""Which devices are connected, by which connection, and the events and log lines of that."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

import trio

from devgate.gateway.bursts import MAX_REPORTED, BurstCounter, Window
from devgate.gateway.clock import time
from devgate.gateway.details import event_row, name_of, offline, online
from devgate.gateway.devices.connection import Connection, shared
from devgate.gateway.devices.registry import Flapping, Registry
from devgate.gateway.storage import Records
from devgate.model import Imei
from devgate.net.addresses import network_of
from devgate.protocol.quick import NOT_ASKED

if TYPE_CHECKING:
    from devgate.config.device import FlappingSettings

MAX_ANSWERED = 1_000_000  # devices whose last address is remembered: about 100 MB at most
REGISTER_SECONDS = 2.0  # from a connection to its registration, usually

log = logging.getLogger("devgate.devices")


class Presence:
    """The registry and its events: online and offline strictly alternate for every device.

    When a connection is displaced, the device stays online; the end of the displaced connection
    changes nothing, whenever it is noticed.
    """

    def __init__(self, records: Records, flapping: Flapping) -> None:
        self.flapping = flapping
        self.taken_over = flapping.times  # devices that were taken over recently
        self.takeovers = 0
        self.flaps = 0  # bursts of takeovers that were reported
        self._records = records
        self._registry: Registry[Connection] = Registry()
        self.get = self._registry.get  # the connection that speaks for a device, if there is one
        self._generation = int(time() * 1000)  # higher than in all earlier runs
        self._registered_at = 0.0  # when the last registration was: wall clock
        self._window = Window()
        self._onlines = BurstCounter()
        self._takeovers = BurstCounter()
        # The address of each device's last answer; the device that answered longest ago is first.
        self._answered: dict[Imei, str] = {}
        # Devices whose last event does not say what is true now.
        self._stale: dict[Imei, None] = {}

    def apply(self, settings: FlappingSettings) -> None:
        """Use these settings for takeovers from now on."""
        self.flapping.apply(settings)

    def __len__(self) -> int:
        return len(self._registry)

    def imeis(self) -> list[Imei]:
        """The devices that are online, in order."""
        return sorted(self._registry)

    def contested(self, imei: Imei) -> bool:
        """Whether starts are refused, for two connections compete for the IMEI."""
        flapping = self.flapping
        return flapping.starts == "refuse" and flapping.flaps(imei, trio.current_time())

    def from_new_address(self, imei: Imei) -> bool:
        """The device answers a command. Whether its last answer came from another address.

        False for the first answer since the gateway started: no earlier address is known then.
        """
        connection = self._registry.get(imei)
        if connection is None:
            return False
        address = connection.link.address
        last = self._answered.pop(imei, address)
        self._answered[imei] = address
        if len(self._answered) > MAX_ANSWERED:
            del self._answered[next(iter(self._answered))]
        return last is not address and network_of(last) != network_of(address)

    def end(self, imei: Imei, why: str) -> None:
        """End the connection that speaks for the device, if there is one."""
        if (connection := self._registry.get(imei)) is not None:
            connection.end(why)

    def registered(self, imei: Imei, connection: Connection, now: float) -> Connection | None:
        """The connection speaks for the device from now on. Returns the one that did until now,
        for the caller to abort."""
        self._generation += 1
        connection.generation = self._generation
        at = self._registered_at = connection.registered_at = shared(time(), self._registered_at)
        connection.request_start = NOT_ASKED
        displaced = self._registry.take_over(imei, connection)
        if displaced is None:
            self._online(imei, connection, at, now)
        else:
            self._taken_over(imei, connection, displaced, at, now)
            if self.flapping.taken_over(imei, now):
                self.flaps += 1
                times, within = self.flapping.takeovers, self.flapping.within
                log.warning(
                    "device flapping imei=%s name=%s takeovers=%s within=%s",
                    imei, name_of(self._records.called(imei)), times, within,
                )  # fmt: skip
                self._flapping(imei, 0)
        if self._records.claims:
            self._records.presence(_row(imei, connection, True, at, now))
        return displaced

    @property
    def generation(self) -> int:
        """The number of the latest registration."""
        return self._generation

    def number_above(self, generation: int) -> None:
        """Registrations from now on have higher numbers."""
        self._generation = max(self._generation, generation)

    def moved(self, imei: Imei, connection: Connection) -> None:
        """The connection speaks for the device, as it did in the process that had it before: there
        is no event."""
        self._registry.take_over(imei, connection)

    def forget(self, imei: Imei, connection: Connection) -> None:
        """Undo moved()."""
        self._registry.release(imei, connection)

    def claim(self, imei: Imei) -> None:
        """At a node: claim the device once more, with the time at which it registered.

        If the wall clock was set since then, or was wrong, that time is taken from the age of the
        connection instead: a device registers as soon as it is connected.
        """
        if (connection := self._registry.get(imei)) is not None:
            at, now = time(), trio.current_time()
            row = _row(imei, connection, True, at, now)
            connected = at - (now - connection.connected)
            if not connected <= connection.registered_at <= connected + REGISTER_SECONDS:
                row = (*row[:2], connected, *row[3:])
            self._records.presence(row)

    def ended(self, connection: Connection, why: str) -> None:
        """The connection has ended. The end of one that was displaced changes nothing."""
        imei = connection.session.imei
        if imei is None or not self._registry.release(imei, connection):
            return
        at, now = time(), trio.current_time()
        row = _row(imei, connection, False, at, now)
        if not connection.announced:
            if self._records.claims:
                self._records.presence(row)
            return  # the last event of the device says already that it is offline
        number = connection.generation
        self._records.presence(row, offline(imei, at, why, number))
        log.info(
            "device offline imei=%s address=%s connection=%s seconds=%s reason=%s",
            imei, connection.link.address, number,
            round(now - connection.connected), why,
        )  # fmt: skip

    def roll(self, now: float) -> None:
        """Once a minute: report how many registrations had no event, and the present state."""
        if not self._window.over(now):
            return
        left_out = Counter(dict(self._onlines.over()))
        left_out.update(dict(self._takeovers.over()))
        for imei, count in left_out.items():
            self._flapping(imei, count)
        stale, self._stale = self._stale, {}
        for imei in stale:
            if (connection := self._registry.get(imei)) is None:
                continue
            if self._records.quiet:
                self._stale[imei] = None
            elif connection.announced:
                self._records.presence(_row(imei, connection, True, time(), now))
            else:
                self._tell_online(imei, connection, time(), now)

    def _online(self, imei: Imei, connection: Connection, at: float, now: float) -> None:
        count = self._onlines.count(imei)
        if count <= MAX_REPORTED and not self._records.quiet:
            return self._tell_online(imei, connection, at, now)
        # The two events alternate: without an online event there is no offline event either.
        connection.announced = False
        return self._leave_out(imei, count)

    def _tell_online(self, imei: Imei, connection: Connection, at: float, now: float) -> None:
        connection.announced = True
        address, number = connection.link.address, connection.generation
        event = online(imei, at, address, number)
        self._records.presence(_row(imei, connection, True, at, now), event)
        log.info("device online imei=%s address=%s connection=%s", imei, address, number)

    def _taken_over(
        self, imei: Imei, connection: Connection, displaced: Connection, at: float, now: float
    ) -> None:
        self.takeovers += 1
        connection.announced = displaced.announced
        count = self._takeovers.count(imei)
        if count > MAX_REPORTED or not connection.announced or self._records.quiet:
            return self._leave_out(imei, count)
        address, number = connection.link.address, connection.generation
        event = event_row(
            "device.taken_over", imei,
            address=address, connection=number, displaced=displaced.link.address,
        )  # fmt: skip
        self._records.presence(_row(imei, connection, True, at, now), event)
        log.info(
            "device taken over imei=%s address=%s connection=%s displaced=%s",
            imei, address, number, displaced.generation,
        )  # fmt: skip
        return None

    def _leave_out(self, imei: Imei, count: int) -> None:
        self._stale[imei] = None
        if count == MAX_REPORTED + 1:
            log.warning("device registers again and again, counted from now on imei=%s", imei)
            self._flapping(imei, 1)

    def _flapping(self, imei: Imei, count: int) -> None:
        """`count`: registrations that have no event of their own."""
        more = {"count": count} if count else {}
        self._records.event(
            "device.flapping", imei,
            takeovers=self.flapping.takeovers, within=self.flapping.within, **more,
        )  # fmt: skip


def _row(
    imei: Imei, connection: Connection, online: bool, at: float, now: float
) -> tuple[object, ...]:
    """The columns of `presence`. `at`: wall clock, `now`: trio's clock."""
    since, silent = connection.registered_at if online else at, now - connection.heard
    return imei, online, since, at - silent, connection.link.address, connection.generation


def heard(connection: Connection, now: float) -> float:
    """When its last byte came: wall clock. `now`: trio's clock."""
    return time() - (now - connection.heard)
