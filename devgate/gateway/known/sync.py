"""Keeps the directory equal to the database, whoever changes that."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import trio

from devgate.gateway.background import Background
from devgate.gateway.known.directory import Directory
from devgate.gateway.storage import Records
from devgate.model import Imei
from devgate.store import devices
from devgate.store.device import COLUMNS, Device
from devgate.store.history import Reading

if TYPE_CHECKING:
    from devgate.config.settings import StoreSettings

PAGE = 2000  # changed devices that are read at once
TOLD = 1000  # of one refresh: an import of a million is one event more, not a million
OTHERS = "database"  # the source of what others wrote there, `devgate devices` among them
MAX_SHOWN = 200  # characters of an old or new value; a QR text may have 976 bytes

log = logging.getLogger("devgate.devices")


class Knowledge:
    """Reads changed rows only, by the revision that the database's triggers count."""

    def __init__(
        self,
        directory: Directory,
        records: Records,
        refused: Callable[[Imei, str], None],
        background: Background | None = None,
        *,
        refresh_seconds: float = 30.0,
        tells: Callable[[], bool] = lambda: True,
    ) -> None:
        """`refused` is called for a device that may not be connected any longer. `tells`: whether
        changes are to be told in events; of the nodes of a cluster one does that."""
        self._refresh_seconds = refresh_seconds
        self._directory = directory
        self._records = records
        self._refused = refused
        self._tells = tells
        self._background = background or Background()
        self._revision = 0
        self._sources: dict[object, str] = {}  # who changes what at the moment
        self._lock = trio.Lock()

    def apply(self, settings: StoreSettings) -> None:
        """Look for changes as often as these settings say, from the next look on."""
        self._refresh_seconds = settings.refresh

    async def load(self) -> None:
        """Read all devices. In a thread, while nobody else looks at the directory."""
        self._revision = await self._records.read(self._load)

    def _load(self, conn: Reading) -> int:
        revision = devices.revision(conn)
        self._directory.load(devices.all_devices(conn, ordered=False))
        return revision

    async def refresh(self) -> int:
        """Put changed devices in force. Returns how many there were. Raises StoreError."""
        async with self._lock:
            count = 0
            while True:
                changes = await self._records.read(devices.changed, self._revision, PAGE)
                self._apply(
                    changes.changed, changes.removed, quiet=count >= TOLD or not self._tells()
                )
                count += len(changes.changed) + len(changes.removed)
                self._revision = changes.revision
                if not changes.more:
                    break
            if count > TOLD and self._tells():
                self._records.event("device.changed", None, count=count, source=self._whose(None))
            return count

    def _apply(self, changed: Iterable[Device], removed: Iterable[Imei], quiet: bool) -> None:
        for device in changed:
            before = self._directory.known(device.imei)
            self._directory.put(device)
            if not quiet:
                self._tell(before, device)
            if not device.enabled:
                self._refused(device.imei, "disabled")
        for imei in removed:
            if (called := self._directory.called(imei)) is not None:
                self._directory.remove(imei)
                if not quiet:
                    source = self._whose(imei)
                    detail = {**called._asdict(), "source": source}
                    self._records.event("device.removed", imei, **detail)
                    log.info("device removed imei=%s source=%s", imei, source)
                self._refused(imei, "removed")

    @contextmanager
    def changing(self, source: str, imei: Imei | None = None) -> Iterator[None]:
        """Changes of this device (None: of any) that are seen meanwhile are of this source."""
        key = object() if imei is None else imei
        self._sources[key] = source
        try:
            yield
        finally:
            self._sources.pop(key, None)

    def _whose(self, imei: Imei | None) -> str:
        if imei is not None and (source := self._sources.get(imei)) is not None:
            return source
        wide = [one for key, one in self._sources.items() if not isinstance(key, str)]
        return wide[0] if wide else OTHERS

    def _tell(self, before: Device | None, new: Device) -> None:
        source = self._whose(new.imei)
        called = {"id": new.id, "name": new.name, "site": new.site}
        detail: dict[str, object] = {**called, "enabled": new.enabled, "source": source}
        if before is None:
            self._records.event("device.added", new.imei, **detail)
            log.info("device added imei=%s source=%s", new.imei, source)
            return
        changes = {
            name: {"old": _short(old), "new": _short(value)}
            for name, old, value in zip(COLUMNS, before, new, strict=True)
            if old != value
        }
        if changes:  # else it was written as it was
            self._records.event("device.changed", new.imei, **detail, changes=changes)
            log.info(
                "device changed imei=%s fields=%s source=%s", new.imei, ",".join(changes), source
            )

    async def watch(self) -> NoReturn:
        """See what other programs change."""
        while True:
            await trio.sleep(self._refresh_seconds)
            await self._background.until_done("refresh", self.refresh, self._refresh_seconds)


def _short(value: object) -> object:
    if isinstance(value, str) and len(value) > MAX_SHOWN:
        return value[: MAX_SHOWN - 1] + "…"
    return value
