"""What the gateway makes of what a device said, besides answering it."""

from __future__ import annotations

import logging

from devgate.gateway.connection import Connection
from devgate.gateway.dispatcher import Dispatcher
from devgate.gateway.presence import Presence
from devgate.gateway.records import Records
from devgate.gateway.taps import Taps
from devgate.protocol.session import News, Registered, Result, acknowledge

TAKEN_OVER = "taken over by a newer connection"

log = logging.getLogger("devgate.devices")


class Acts:
    """Registrations, results and echoes, and what follows from them."""

    def __init__(
        self, presence: Presence, dispatcher: Dispatcher, records: Records, taps: Taps
    ) -> None:
        self._presence = presence
        self._dispatcher = dispatcher
        self._records = records
        self._taps = taps

    def on(self, connection: Connection, news: News, now: float) -> bytes:
        """Act on the news of a connection. Returns what is to be sent to it besides."""
        if isinstance(news, Result):
            return self._settle(connection, news, now)
        if isinstance(news, Registered):
            displaced = self._presence.registered(news.imei, connection, now)
            if displaced is not None:
                displaced.end(TAKEN_OVER)
            connection.tap = self._taps.get(news.imei)
            self._dispatcher.online(news.imei)
        else:
            log.warning("connection echoes imei=%s address=%s", news.imei, connection.link.address)
            self._records.event("device.echoing", news.imei, address=connection.link.address)
        return b""

    def _settle(self, connection: Connection, result: Result, now: float) -> bytes:
        # What an echoing connection says may be our own receipt: it settles nothing.
        claimed = not connection.session.echoing and self._dispatcher.settle(result, now)
        receipt = acknowledge(connection.session, result, claimed, now)
        if not receipt:
            return receipt  # neither is it told again
        what: dict[str, object] = {
            "command": result.command,
            "status": result.status,
            "said": result.said,
        }
        if result.said != result.imei:
            log.warning("device mismatch imei=%s said=%s", result.imei, result.said)
            self._records.event("device.mismatch", result.imei, **what)
        if not claimed:
            log.info("unsolicited result imei=%s status=%s", result.imei, result.status)
            self._records.event("result.unsolicited", result.imei, **what)
        return receipt
