"""What follows from the news of a connection: registrations, results, echoes."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from devgate.gateway.bursts import MAX_REPORTED, BurstCounter, Window
from devgate.gateway.commands.dispatcher import Dispatcher
from devgate.gateway.details import name_of
from devgate.gateway.devices.connection import Connection
from devgate.gateway.devices.presence import Presence
from devgate.gateway.devices.taps import Taps
from devgate.gateway.devices.unregistered import Unregistered
from devgate.gateway.storage import Records
from devgate.model import Imei
from devgate.net.addresses import host_of
from devgate.protocol.session import News, Registered, Result, acknowledge

TAKEN_OVER = "taken over by a newer connection"

log = logging.getLogger("devgate.devices")


class Effects:
    """What registrations, results and echoes change, besides the answer."""

    def __init__(
        self,
        presence: Presence,
        dispatcher: Dispatcher,
        records: Records,
        taps: Taps,
        unregistered: Unregistered,
    ) -> None:
        self._presence = presence
        self._dispatcher = dispatcher
        self._records = records
        self._taps = taps
        self._unregistered = unregistered
        self._window = Window()
        self._bursts = {
            kind: BurstCounter()
            for kind in ("device.echoing", "device.mismatch", "result.unsolicited")
        }

    def on(self, connection: Connection, news: News, now: float) -> bytes:
        """Act on the news of a connection. Returns bytes to send to it besides the answer."""
        if isinstance(news, Result):
            return self._settle(connection, news, now)
        if isinstance(news, Registered):
            self._unregistered.registered(connection)
            displaced = self._presence.registered(news.imei, connection, now)
            if displaced is not None:
                displaced.end(TAKEN_OVER)
                self._dispatcher.disconnected(news.imei, displaced)
            connection.tap = self._taps.get(news.imei)
            self._dispatcher.online(news.imei)
        else:
            self._echoes(connection, news.imei)
        return b""

    def roll(self, now: float) -> None:
        """Once a minute: write events with how many of each device were left out."""
        if self._window.over(now):
            for kind, bursts in self._bursts.items():
                for imei, count in bursts.over():
                    self._records.event(kind, imei, count=count)

    def _echoes(self, connection: Connection, imei: Imei | None) -> None:
        address = connection.link.address
        if imei is None:
            # Any peer can cause it any number of times. So it is counted, and logged once a minute
            # for each address.
            self._unregistered.refusals.refuse("device", "echo", host_of(address))
        elif self._tell("device.echoing", imei, {"address": address}):
            log.warning(
                "connection echoes imei=%s name=%s address=%s", imei, self._name(imei), address
            )

    def _name(self, imei: Imei) -> str:
        return name_of(self._records.called(imei))

    def _tell(self, kind: str, imei: Imei, detail: Mapping[str, object]) -> bool:
        """Write an event, unless there were many of this device within the minute."""
        count = self._bursts[kind].count(imei)
        if count <= MAX_REPORTED:
            self._records.event(kind, imei, **detail)
        elif count == MAX_REPORTED + 1:
            self._records.event(kind, imei, **detail, count=1)
        return count <= MAX_REPORTED + 1

    def _settle(self, connection: Connection, result: Result, now: float) -> bytes:
        # A result on an echoing connection may be our own receipt: it settles nothing.
        claimed = False
        if not connection.session.echoing:
            settled = self._dispatcher.settle(result, now, connection)
            if settled is None:  # the dispatcher acknowledges it
                return self._said(b"", result, True)
            claimed = settled
        receipt = acknowledge(connection.session, result, claimed, now)
        if not receipt:
            return receipt  # it repeats the result before, which had its event
        if claimed and result.said == result.imei:
            return receipt
        return self._said(receipt, result, claimed)

    def _said(self, receipt: bytes, result: Result, claimed: bool) -> bytes:
        what: dict[str, object] = {
            "command": result.command,
            "status": result.status,
            "said": result.said,
        }
        if result.said != result.imei and self._tell("device.mismatch", result.imei, what):
            name = self._name(result.imei)
            log.warning("device mismatch imei=%s name=%s said=%s", result.imei, name, result.said)
        if not claimed and self._tell("result.unsolicited", result.imei, what):
            log.info("unsolicited result imei=%s status=%s", result.imei, result.status)
        return receipt
