"""Keeps the directory equal to the database, whoever changes that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NoReturn

import trio

from devgate.gateway.background import Background
from devgate.gateway.directory import Directory, Known
from devgate.gateway.records import Records
from devgate.model import Imei
from devgate.store import devices
from devgate.store.history import Reading

PAGE = 2000  # changed devices that are read at once
TOLD = 1000  # of one refresh: an import of a million is one event more, not a million


class Knowledge:
    """Reads changed rows only, by the revision that the database's triggers count."""

    def __init__(
        self,
        directory: Directory,
        records: Records,
        refused: Callable[[Imei, str], None],
        background: Background | None = None,
    ) -> None:
        self.refresh_every = 30.0
        self._directory = directory
        self._records = records
        self._refused = refused  # called for a device that may not be connected any longer
        self._background = background or Background()
        self._revision = 0
        self._lock = trio.Lock()

    async def load(self) -> None:
        """Read all devices. In a thread, while nobody else looks at the directory."""
        self._revision = await self._records.read(self._load)

    def _load(self, conn: Reading) -> int:
        revision = devices.revision(conn)
        self._directory.load(
            Known(Imei(imei), id, phone, qr, unit, enabled)
            for imei, id, enabled, phone, qr, unit in devices.all_light(conn)
        )
        return revision

    async def refresh(self) -> int:
        """Put changed devices in force. Returns how many there were. Raises StoreError."""
        async with self._lock:
            count = 0
            while True:
                changes = await self._records.read(devices.changed, self._revision, PAGE)
                self._apply(changes.changed, changes.removed, quiet=count >= TOLD)
                count += len(changes.changed) + len(changes.removed)
                self._revision = changes.revision
                if not changes.more:
                    break
            if count > TOLD:
                self._records.event("device.changed", None, count=count)
            return count

    def _apply(
        self, changed: Iterable[devices.Device], removed: Iterable[Imei], quiet: bool
    ) -> None:
        for device in changed:
            kind = "device.changed"
            if self._directory.admits(device.imei) is None:
                kind = "device.added"
            self._directory.put(
                Known(device.imei, device.id, device.phone, device.qr, device.unit, device.enabled)
            )
            if not quiet:
                self._records.event(kind, device.imei, enabled=device.enabled)
            if not device.enabled:
                self._refused(device.imei, "disabled")
        for imei in removed:
            if self._directory.admits(imei) is not None:
                self._directory.remove(imei)
                if not quiet:
                    self._records.event("device.removed", imei)
                self._refused(imei, "removed")

    async def watch(self) -> NoReturn:
        """See what other programs change."""
        while True:
            await trio.sleep(self.refresh_every)
            await self._background.until_done("refresh", self.refresh, self.refresh_every)
