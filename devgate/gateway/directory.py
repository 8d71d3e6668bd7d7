"""Known devices, in memory: nothing that a device asks waits for the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from devgate.model import MAX_TEXT, Imei

ENABLED, TIMES = 1, 2  # flags below the id in a packed entry
SHIFT = 2


class Own(NamedTuple):
    """A device with texts of its own."""

    packed: int
    phone: bytes | None
    qr: bytes | None


class Known(NamedTuple):
    """What a device's row says, as far as the gateway works by it."""

    imei: Imei
    id: int
    phone: str | None
    qr: str | None
    unit: str
    enabled: bool
    ack_timeout: float | None = None  # seconds; None: [command] ack_timeout


class Directory:
    """IMEI to what is known. Fills protocol.Book.

    Most devices have no text of their own: theirs is one int (id and flags), so that a
    million of them take no more than the dict, the IMEIs and the numbers.
    """

    def __init__(self, phone: str = "", qr: str = "") -> None:
        self._devices: dict[Imei, int | Own] = {}
        self._ack_timeouts: dict[Imei, float] = {}  # of the few that have their own
        self.serve(phone, qr)

    def serve(self, phone: str, qr: str) -> None:
        """The texts of `[service]`, for every device without its own."""
        self._phone = phone.encode()
        self._qr = qr

    def __len__(self) -> int:
        return len(self._devices)

    def admits(self, imei: Imei) -> bool | None:
        entry = self._devices.get(imei)
        if entry is None:
            return None
        return bool((entry if isinstance(entry, int) else entry[0]) & ENABLED)

    def counts_times(self, imei: Imei) -> bool:
        """Whether a start's number counts times, and not seconds."""
        entry = self._devices.get(imei, 0)
        return bool((entry if isinstance(entry, int) else entry[0]) & TIMES)

    def ack_timeout(self, imei: Imei) -> float | None:
        """Its own seconds to answer a command; None: as configured."""
        return self._ack_timeouts.get(imei)

    def text(self, imei: Imei, command: str) -> bytes | None:
        entry = self._devices.get(imei)
        if entry is None:
            return None
        if command == "TN":
            own = None if isinstance(entry, int) else entry[1]
            return (self._phone if own is None else own) or None
        own = None if isinstance(entry, int) else entry[2]
        pattern = self._qr if own is None else own.decode()
        number = (entry if isinstance(entry, int) else entry[0]) >> SHIFT
        text = pattern.replace("{id}", str(number)).replace("{imei}", imei).encode()
        return text if text and len(text) <= MAX_TEXT else None

    def put(self, known: Known) -> None:
        packed = known.id << SHIFT | (TIMES if known.unit == "times" else 0) | known.enabled
        if known.phone is None and known.qr is None:
            self._devices[known.imei] = packed
        else:
            self._devices[known.imei] = Own(
                packed,
                None if known.phone is None else known.phone.encode(),
                None if known.qr is None else known.qr.encode(),
            )

        if known.ack_timeout is not None:
            self._ack_timeouts[known.imei] = known.ack_timeout
        elif self._ack_timeouts:
            self._ack_timeouts.pop(known.imei, None)

    def load(self, rows: Iterable[Known]) -> None:
        for row in rows:
            self.put(row)

    def remove(self, imei: Imei) -> None:
        self._devices.pop(imei, None)
        self._ack_timeouts.pop(imei, None)
