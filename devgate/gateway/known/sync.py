"""Keeps the directory equal to the database, which other programs change, too."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import trio

from devgate.gateway.background import Background
from devgate.gateway.clock import time
from devgate.gateway.known.directory import Directory
from devgate.gateway.storage import Records
from devgate.model import Imei, Source, iso
from devgate.store import devices, maintenance
from devgate.store.device import MEMORY_COLUMNS, RECORD, Device
from devgate.store.devices import DeviceChanges
from devgate.store.history import Reading

if TYPE_CHECKING:
    from devgate.config.store import StoreSettings

PAGE_DEVICES = 2000  # changed devices that one read returns
# Events of one refresh. If more devices have changed, one event gives their number.
MAX_EVENTS = 1000
OTHER_PROGRAMS = "database"  # the source of changes by others, such as `devgate devices`
MAX_SHOWN_CHARACTERS = 200  # of an old or new value; a QR text may have 976 bytes

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
        this gateway writes the events of changes; of the nodes of a cluster one does."""
        self._refresh_seconds = refresh_seconds
        self._directory = directory
        self._records = records
        self._refused = refused
        self._tells = tells
        self._background = background or Background()
        self._revision = 0
        self._maintained = maintenance.BEGIN
        self._sources: dict[object, str] = {}  # the sources of changes that are under way
        self._recorded: dict[Imei, dict[str, Any]] = {}  # changes of records without an event yet
        self._lock, self._maintaining = trio.Lock(), trio.Lock()

    def apply(self, settings: StoreSettings) -> None:
        """Look for changes as often as these settings say, from the next look on."""
        self._refresh_seconds = settings.refresh

    async def load(self) -> None:
        """Read all devices. In a thread, while nobody else looks at the directory."""
        self._revision = await self._records.read(self._load)
        await self.refresh_maintenance()

    def _load(self, conn: Reading) -> int:
        revision = devices.revision(conn)
        self._directory.load(devices.all_devices(conn, ordered=False))
        return revision

    @property
    def revision(self) -> int:
        """Up to which changes are in force."""
        return self._revision

    async def catch_up(self) -> None:
        """Put in force changes whose events another gateway wrote: without events."""
        more = True
        while more:
            changes = await self._records.read(devices.changed, self._revision, PAGE_DEVICES)
            self._apply(changes, quiet=True)
            self._revision, more = changes.revision, changes.more

    async def refresh(self) -> int:
        """Put changed devices in force. Returns how many there were. Raises StoreError."""
        async with self._lock:
            count = 0
            while True:
                changes = await self._records.read(devices.changed, self._revision, PAGE_DEVICES)
                self._apply(changes, quiet=count >= MAX_EVENTS or not self._tells())
                count += len(changes.changed) + len(changes.removed)
                self._revision = changes.revision
                if not changes.more:
                    break
            if count > MAX_EVENTS and self._tells():
                self._records.event("device.changed", None, count=count, source=self._whose(None))
            return count

    async def refresh_maintenance(self) -> None:
        """Put in force maintenance that has begun or ended. Raises StoreError."""
        async with self._maintaining:
            while True:
                found, place = await self._records.read(maintenance.changed, self._maintained)
                self._directory.maintenance.apply(found)
                self._maintained = place
                if len(found) < maintenance.PAGE_ROWS:
                    return

    async def _look(self) -> None:
        await self.refresh()
        # The leader does this, or a gateway that works alone. Other nodes see the result.
        if self._tells() and self._directory.maintenance.due():
            for entry in await self._records.change(maintenance.end_over, time()):
                self.tell_maintenance("maintenance.ended", entry, "its time is over")
        await self.refresh_maintenance()

    def tell_maintenance(
        self, type: str, entry: maintenance.MaintenanceEntry, source: str
    ) -> None:
        """Write the event that a machine or a site is in maintenance, or is so no longer."""
        if entry.kind == maintenance.SITE:
            imei, called = None, {"site": entry.name}
        else:
            imei = Imei(entry.name)
            known = self._directory.called(imei)
            called = {} if known is None else known._asdict()
        self._records.event(
            type, imei, **called, reason=entry.reason, until=iso(entry.until), source=source
        )

    def _apply(self, changes: DeviceChanges, quiet: bool) -> None:
        for device in changes.changed:
            self._put(device, changes, quiet)
        for imei in changes.removed:
            self._remove(imei, quiet)

    def _put(self, device: Device, changes: DeviceChanges, quiet: bool) -> None:
        before = self._directory.known(device.imei)
        self._directory.put(device)
        if not quiet:
            self._tell(before, device)
        if not device.enabled:
            self._refused(device.imei, "disabled")

    def _remove(self, imei: Imei, quiet: bool) -> None:
        if (called := self._directory.called(imei)) is not None:
            self._directory.remove(imei)
            if not quiet:
                self._tell_removed(imei, called._asdict())
            self._refused(imei, "removed")

    @contextmanager
    def changing(self, source: str, imei: Imei | None = None) -> Iterator[None]:
        """In this block, changes of this device (None: of any) have this source in their
        events."""
        key = object() if imei is None else imei
        self._sources[key] = source
        try:
            yield
        finally:
            self._sources.pop(key, None)
            if imei is not None:
                self._recorded.pop(imei, None)

    def note_record(self, imei: Imei, old: Device, new: Device) -> None:
        """Note changes of the machine's record, which is not in memory. They go into the event of
        the changes that the next refresh() finds."""
        changes = {
            name: {"old": _short(getattr(old, name)), "new": _short(getattr(new, name))}
            for name in RECORD
            if getattr(old, name) != getattr(new, name)
        }
        if changes:
            self._recorded[imei] = changes

    def _whose(self, imei: Imei | None) -> str:
        if imei is not None and (source := self._sources.get(imei)) is not None:
            return source
        wide = [one for key, one in self._sources.items() if not isinstance(key, str)]
        return wide[0] if wide else OTHER_PROGRAMS

    def _tell(self, before: Device | None, new: Device) -> None:
        if before is None:
            source = self._whose(new.imei)
            self._records.event("device.added", new.imei, **_detail(new), **_by(source))
            log.info("device added imei=%s source=%s", new.imei, source)
            return
        changes = {
            name: {"old": _short(old), "new": _short(value)}
            for name, old, value in zip(MEMORY_COLUMNS, before, new, strict=False)
            if old != value
        } | self._recorded.pop(new.imei, {})
        if changes:  # otherwise the row was written without a change
            self._tell_changed(new, changes)

    def _tell_changed(self, new: Device, changes: dict[str, Any] | None) -> None:
        """`changes`: by field; None: they are not known."""
        source = self._whose(new.imei)
        more = {} if changes is None else {"changes": changes}
        self._records.event("device.changed", new.imei, **_detail(new), **_by(source), **more)
        log.info(
            "device changed imei=%s fields=%s source=%s",
            new.imei, "?" if changes is None else ",".join(changes), source,
        )  # fmt: skip

    def _tell_removed(self, imei: Imei, called: dict[str, Any]) -> None:
        source = self._whose(imei)
        self._records.event("device.removed", imei, **called, **_by(source))
        log.info("device removed imei=%s source=%s", imei, source)

    async def learn(self, imeis: Iterable[str]) -> None:
        """Load these devices into memory, if they are known. At a gateway that works alone all
        are there. Raises StoreError."""

    async def watch(self) -> NoReturn:
        """Look for changes by other programs, for ever."""
        while True:
            await trio.sleep(self._refresh_seconds)
            await self._background.until_done("refresh", self._look, self._refresh_seconds)


def _detail(device: Device) -> dict[str, object]:
    return {
        "id": device.id, "name": device.name, "site": device.site, "enabled": device.enabled,
    }  # fmt: skip


def _short(value: object) -> object:
    if isinstance(value, str) and len(value) > MAX_SHOWN_CHARACTERS:
        return value[: MAX_SHOWN_CHARACTERS - 1] + "…"
    return value


def _by(source: str) -> dict[str, str]:
    """Who made a change, and from where, if that is known."""
    who = Source.of(source)
    return {"source": who.plain, **({"address": who.address} if who.address else {})}
