"""Known devices at a node: it loads none at the start, looks up those that it needs, and reads
changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import trio

from devgate.errors import DevgateError
from devgate.gateway.completion import Completion
from devgate.gateway.known.sync import Knowledge
from devgate.gateway.nodes.directory import NodeDirectory
from devgate.gateway.nodes.lookups import Lookups
from devgate.model import Imei
from devgate.store import devices
from devgate.store.device import Device
from devgate.store.devices import DeviceChanges
from devgate.store.history import Reading

# The part of the time that may be spent with counting devices: a count reads an index.
COUNTING_SHARE = 0.01


class FoundDevice(NamedTuple):
    """What the database says of a device as of a revision."""

    revision: int
    device: Device | None


# Called once a device is in memory if it is known, or with the error of the look-up.
OnLearned = Callable[[DevgateError | None], None]


class NodeKnowledge(Knowledge):
    """Puts changes in force, of devices that are in memory.

    A look-up sees one revision of all devices. If this node has put a later revision in force when
    the answer comes, that may have changed this device, and it is looked up again.
    """

    _directory: NodeDirectory

    def __init__(
        self, *args: Any, soon: Callable[[Callable[[], Awaitable[None]]], bool], **kwargs: Any
    ) -> None:
        """`soon`: as for Lookups."""
        super().__init__(*args, **kwargs)
        self._lookups: Lookups[FoundDevice] = Lookups(self._read, soon)
        self._count_at = 0.0  # trio's clock: not before

    async def load(self) -> None:
        """Begin at the newest revision, with no device in memory."""
        self._revision = await self._records.read(devices.revision)
        await self.refresh_maintenance()
        await self._count()

    async def refresh(self) -> int:
        """As Knowledge.refresh()."""
        changed = await super().refresh()
        if changed or self._count_at < trio.current_time():
            await self._count()
        return changed

    async def _count(self) -> None:
        now = trio.current_time()
        if now >= self._count_at:
            self._directory.known_count = await self._records.read(devices.count)
            took = trio.current_time() - now
            self._count_at = now + took / COUNTING_SHARE

    async def learn(self, imeis: Iterable[str]) -> None:
        """As Knowledge.learn()."""
        asked = []
        for imei in dict.fromkeys(imeis):
            if not self._directory.holds(imei):
                asked.append(done := Completion[DevgateError | None]())
                self.ask(Imei(imei), done.set)
        for done in asked:
            if (err := await done.wait()) is not None:
                raise err

    def ask(self, imei: Imei, on_learned: OnLearned) -> None:
        """Look the device up. Calls back from another task; the callback must not raise."""
        self._lookups.ask(imei, partial(self._found, imei, on_learned))

    def _found(
        self, imei: Imei, on_learned: OnLearned, found: FoundDevice | DevgateError | None
    ) -> None:
        if isinstance(found, FoundDevice):
            if found.revision < self._revision:
                self.ask(imei, on_learned)
                return
            if found.device is not None:
                self._directory.put(found.device)
            found = None
        on_learned(found)

    async def _read(self, imeis: Sequence[str]) -> Mapping[str, FoundDevice]:
        return await self._records.read(_all_of, imeis)

    def _put(self, device: Device, changes: DeviceChanges, quiet: bool) -> None:
        """As Knowledge._put(). What a device was before is not known if it was not in memory."""
        if self._directory.holds(device.imei):
            super()._put(device, changes, quiet)
        elif not quiet and device.imei in changes.added:
            self._tell(None, device)
        elif not quiet:
            self._tell_changed(device, None)

    def _remove(self, imei: Imei, quiet: bool) -> None:
        if self._directory.holds(imei):
            super()._remove(imei, quiet)
        elif not quiet:
            self._tell_removed(imei, {})


def _all_of(conn: Reading, imeis: Sequence[str]) -> Mapping[str, FoundDevice]:
    revision = devices.revision(conn)
    found = {device.imei: device for device in devices.among(conn, imeis)}
    return {imei: FoundDevice(revision, found.get(Imei(imei))) for imei in imeis}
