"""What the Python peers share: the known devices, what a device is answered, and the doors.

The exchange is the least that a bench needs: HT, TN, heartbeats of one byte, and QD asked for
through a Unix socket. No limits, no timeouts, no journal: what a peer saves by promising nothing
is part of what the table shows.
"""

from __future__ import annotations

import gc
import json
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

FIRST_IMEI = 860_000_000_000_000
DEVICES = 20_000
HEADER = 23
HEARTBEAT = 0x31  # "1"

Link = TypeVar("Link")


class Device(Generic[Link]):
    """A known device: where it is registered, and who waits for its result."""

    __slots__ = ("confirmed", "imei", "link")

    def __init__(self, imei: bytes) -> None:
        self.imei = imei
        self.link: Link | None = None
        self.confirmed: Callable[[], object] | None = None

    def command(self, seconds: int) -> bytes:
        """The frame that starts it."""
        return b"026000%bQD%03d" % (self.imei, seconds)


def known_devices() -> dict[bytes, Device[Link]]:
    """The devices of the bench by IMEI."""
    imeis = (b"%015d" % (FIRST_IMEI + i) for i in range(DEVICES))
    return {imei: Device(imei) for imei in imeis}


class Exchange(Generic[Link]):
    """One connection's side of the exchange: bytes in, bytes out."""

    __slots__ = ("device", "devices", "link", "rest")

    def __init__(self, devices: dict[bytes, Device[Link]], link: Link) -> None:
        self.devices = devices
        self.link = link  # what `device.link` becomes with the registration
        self.device: Device[Link] | None = None
        self.rest = b""

    def answer(self, data: bytes) -> bytes | None:
        """What to send for these bytes. ValueError: the connection is not usable."""
        if data == b"1" and not self.rest:
            return None
        if self.rest:
            data, self.rest = self.rest + data, b""
        answers, start, size = b"", 0, len(data)
        while start < size:
            if data[start] == HEARTBEAT:
                start += 1
                continue
            if size - start < 3:
                break
            stop = start + int(data[start : start + 3])
            if stop > size:
                break
            answers += self._frame(data[start:stop])
            start = stop
        self.rest = data[start:]
        return answers

    def _frame(self, frame: bytes) -> bytes:
        command = frame[21:23]
        if command == b"TN" and self.device:
            return b"035200" + frame[6:23] + b"400-500-5620"
        if command == b"HT":
            device = self.devices.get(frame[6:21])
            if device is None:
                raise ValueError("no such device")
            self.device = device
            device.link = self.link
        elif command == b"QD" and self.device:
            if confirmed := self.device.confirmed:
                self.device.confirmed = None
                confirmed()
        else:
            return b""
        return b"023200" + frame[6:23]

    def close(self) -> None:
        """The connection is gone: its device is no longer registered here."""
        if self.device and self.device.link is self.link:
            self.device.link = None


def request(line: bytes) -> tuple[bytes, int]:
    """IMEI and seconds of a caller's line: command{"imei":..,"type":"start","long":..}"""
    fields = json.loads(line.removeprefix(b"command"))
    return fields["imei"].encode(), int(fields["long"])


def reply(status: str, imei: bytes) -> bytes:
    """The line that a caller gets."""
    fields = {"status": status, "imei": imei.decode(), "type": "start"}
    return json.dumps(fields).encode() + b"\n"


def tcp_door(port: int) -> socket.socket:
    """A listening socket for devices. What it accepts inherits TCP_NODELAY."""
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    door.bind(("127.0.0.1", port))
    door.listen(4096)
    door.setblocking(False)
    return door


def unix_door(path: str) -> socket.socket:
    """A listening socket for callers."""
    with suppress(FileNotFoundError):
        Path(path).unlink()
    door = socket.socket(socket.AF_UNIX)
    door.bind(path)
    door.listen(128)
    door.setblocking(False)
    return door


def calm_collector() -> None:
    """Keep the garbage collector away from what stays, as devgate does."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
