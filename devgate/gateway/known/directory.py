"""Known devices, in memory: no answer to a device waits for the database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from devgate.gateway.known.maintenance import Maintenance
from devgate.model import MAX_TEXT, Called, Imei
from devgate.store.device import Device

if TYPE_CHECKING:
    from devgate.config.settings import ServiceSettings

ENABLED, COUNTS_TIMES = 1, 2  # flags
PACKED_HEAD = Struct("<BII")  # flags, id, number of the site; the name in UTF-8 follows


class WithTexts(NamedTuple):
    """A device that has its own texts."""

    flags: int
    packed: bytes
    phone: bytes | None
    qr: bytes | None


class Directory:
    """Devices by IMEI. Implements protocol.Book.

    Few devices have their own texts. Each of the others is one small bytes object (flags, id, site
    and name), so that a million need little more than the dict and the IMEIs. The flags are its
    first byte, and the first field of WithTexts. Names are here so that an event can have the name
    that the device had when it happened, and the name before.
    """

    def __init__(self, phone: str = "", qr: str = "") -> None:
        self._phone = phone.encode()
        self._qr = qr
        self._devices: dict[Imei, bytes | WithTexts] = {}
        # The object that stands for a device: another one as soon as anything of it changes.
        self.entry: Callable[[Imei], object] = self._devices.get
        self._sites: list[str] = []
        self._site_numbers: dict[str, int] = {}
        self._ack_timeouts: dict[Imei, float] = {}  # of the few that have their own
        # A device's own seconds to answer a command; None: as configured.
        self.ack_timeout: Callable[[Imei], float | None] = self._ack_timeouts.get
        self.maintenance = Maintenance(self.site)

    def apply(self, settings: ServiceSettings) -> None:
        """Serve these texts to every device without its own from now on."""
        self._phone = settings.phone.encode()
        self._qr = settings.qr

    def __len__(self) -> int:
        return len(self._devices)

    def imeis(self) -> Collection[Imei]:
        """All IMEIs, in no order. Do not iterate over them on the loop: there may be a million."""
        return self._devices.keys()

    def admits(self, imei: Imei) -> bool | None:
        """As Book.admits(): whether it is enabled; None if it is not known."""
        entry = self._devices.get(imei)
        if entry is None:
            return None
        return bool(entry[0] & ENABLED)

    def counts_times(self, imei: Imei) -> bool:
        """Whether a start's number counts times, and not seconds."""
        entry = self._devices.get(imei)
        return entry is not None and bool(entry[0] & COUNTS_TIMES)

    def called(self, imei: Imei) -> Called | None:
        """Its id, name and site."""
        entry = self._devices.get(imei)
        if entry is None:
            return None
        packed = entry if isinstance(entry, bytes) else entry.packed
        _, id, site = PACKED_HEAD.unpack_from(packed)
        return Called(id, packed[PACKED_HEAD.size :].decode(), self._sites[site])

    def site(self, imei: Imei) -> str | None:
        """Where it stands; None if it is not known."""
        entry = self._devices.get(imei)
        if entry is None:
            return None
        packed = entry if isinstance(entry, bytes) else entry.packed
        number: int = PACKED_HEAD.unpack_from(packed)[2]
        return self._sites[number]

    def known(self, imei: Imei) -> Device | None:
        """All that is known of it."""
        entry, called = self._devices.get(imei), self.called(imei)
        if entry is None or called is None:
            return None
        phone, qr = (entry.phone, entry.qr) if isinstance(entry, WithTexts) else (None, None)
        return Device(
            imei,
            *called,
            None if phone is None else phone.decode(),
            None if qr is None else qr.decode(),
            "times" if entry[0] & COUNTS_TIMES else "seconds",
            self._ack_timeouts.get(imei),
            bool(entry[0] & ENABLED),
        )

    def text(self, imei: Imei, command: str) -> bytes | None:
        """As Book.text(): its own text or the service's, UTF-8, at most MAX_TEXT bytes."""
        entry = self._devices.get(imei)
        if entry is None:
            return None
        if command == "TN":
            given = None if isinstance(entry, bytes) else entry.phone
            return (self._phone if given is None else given) or None
        packed, given = (entry, None) if isinstance(entry, bytes) else (entry.packed, entry.qr)
        pattern = self._qr if given is None else given.decode()
        number = PACKED_HEAD.unpack_from(packed)[1]
        text = pattern.replace("{id}", str(number)).replace("{imei}", imei).encode()
        return text if text and len(text) <= MAX_TEXT else None

    def put(self, device: Device) -> None:
        """Add a device, or replace what is known of it. It is in force at once."""
        flags = (COUNTS_TIMES if device.unit == "times" else 0) | (
            ENABLED if device.enabled else 0
        )
        packed = PACKED_HEAD.pack(flags, device.id, self._site(device.site)) + device.name.encode()
        if device.phone is None and device.qr is None:
            self._devices[device.imei] = packed
        else:
            self._devices[device.imei] = WithTexts(
                flags,
                packed,
                None if device.phone is None else device.phone.encode(),
                None if device.qr is None else device.qr.encode(),
            )

        if device.ack_timeout is not None:
            self._ack_timeouts[device.imei] = device.ack_timeout
        elif self._ack_timeouts:
            self._ack_timeouts.pop(device.imei, None)

    def _site(self, name: str) -> int:
        number = self._site_numbers.setdefault(name, len(self._sites))
        if number == len(self._sites):
            self._sites.append(name)
        return number

    def load(self, devices: Iterable[Device]) -> None:
        """put() all of them: for the start, before any device connects."""
        for device in devices:
            self.put(device)

    def remove(self, imei: Imei) -> None:
        """Remove a device; one that is not known is ignored."""
        self._devices.pop(imei, None)
        self._ack_timeouts.pop(imei, None)
