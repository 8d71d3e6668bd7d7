"""Which devices are connected: who speaks for each, and what is told of it."""

from __future__ import annotations

import logging
from time import time

import trio

from devgate.gateway.connection import Connection
from devgate.gateway.records import Records, event_row
from devgate.gateway.registry import Flapping, Registry
from devgate.model import Imei
from devgate.protocol.quick import own

log = logging.getLogger("devgate.devices")


class Presence:
    """The registry, and its log: online and offline strictly alternate for every device.

    A connection that is displaced is not the device going offline, and its end,
    whenever it is noticed, changes nothing.
    """

    def __init__(self, records: Records, flapping: Flapping) -> None:
        self.flapping = flapping
        self.takeovers = 0
        self.flaps = 0  # bursts of them that were told
        self._records = records
        self._registry: Registry[Connection] = Registry()
        self._generation = int(time() * 1000)  # above all of earlier runs

    def get(self, imei: Imei) -> Connection | None:
        return self._registry.get(imei)

    def __len__(self) -> int:
        return len(self._registry)

    def imeis(self) -> list[Imei]:
        """The devices that are online, in order."""
        return sorted(self._registry)

    def registered(self, imei: Imei, connection: Connection, now: float) -> Connection | None:
        """The connection speaks for the device from now on. Returns the one that did, to abort."""
        self._generation += 1
        connection.generation = self._generation
        connection.registered_at = time()
        connection.own = own(imei)
        displaced = self._registry.take_over(imei, connection)
        address, number = connection.link.address, connection.generation
        if displaced is None:
            event = event_row("device.online", imei, address=address, connection=number)
            log.info("device online imei=%s address=%s connection=%s", imei, address, number)
        else:
            self.takeovers += 1
            event = event_row(
                "device.taken_over", imei,
                address=address, connection=number, displaced=displaced.link.address,
            )  # fmt: skip
            log.info(
                "device taken over imei=%s address=%s connection=%s displaced=%s",
                imei, address, number, displaced.generation,
            )  # fmt: skip
        self._records.presence(_row(imei, connection, True, connection.registered_at), event)
        if displaced is not None and self.flapping.taken_over(imei, now):
            self.flaps += 1
            times, within = self.flapping.takeovers, self.flapping.within
            log.warning("device flapping imei=%s takeovers=%s within=%s", imei, times, within)
            self._records.event("device.flapping", imei, takeovers=times, within=within)
        return displaced

    def ended(self, connection: Connection, why: str) -> None:
        """The connection is over. A late end of one that was displaced says nothing."""
        imei = connection.session.imei
        if imei is not None and self._registry.release(imei, connection):
            number = connection.generation
            event = event_row("device.offline", imei, reason=why, connection=number)
            self._records.presence(_row(imei, connection, False, time()), event)
            log.info(
                "device offline imei=%s address=%s connection=%s seconds=%s reason=%s",
                imei, connection.link.address, number,
                round(trio.current_time() - connection.connected), why,
            )  # fmt: skip


def _row(imei: Imei, connection: Connection, online: bool, since: float) -> tuple[object, ...]:
    return imei, online, since, heard(connection), connection.link.address, connection.generation


def heard(connection: Connection) -> float:
    """When its last byte came, as wall clock."""
    return time() - (trio.current_time() - connection.heard)
