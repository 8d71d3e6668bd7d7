"""The events and frames of the device protocol as values: protocol.md section 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from devgate.model import Imei

HEADER_SIZE = 23  # LEN 3, STATUS 3, IMEI 15, COMMAND 2
MAX_FRAME = 999  # what three digits can say
SHORT_404 = b"006404"  # the one short frame, server to device only


class Frame(NamedTuple):
    """One whole frame (protocol.md section 1).

    `status` has three digits, `command` two letters A to Z, and `data` 0 to 976 bytes; LEN is not
    part of it. A NamedTuple, because one is built for every message.
    """

    status: str
    imei: Imei
    command: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Bytes that say no more than "still here" (protocol.md section 2, rule 3)."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A run that starts no frame and is no heartbeat (protocol.md section 2, rule 3)."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class ShortEcho:
    """`006404`, which only the server sends: it came back to us as an echo (section 3)."""


Event = Frame | Heartbeat | Malformed | ShortEcho


def encode(status: str, imei: Imei, command: str, data: bytes = b"") -> bytes:
    """The bytes of one frame: LEN, STATUS, IMEI, COMMAND and DATA (protocol.md section 1).

    `status` has three digits, `command` two letters. `data` is at most 976 bytes long, which is
    checked where texts are configured or stored: a longer one is an AssertionError here.
    """
    size = HEADER_SIZE + len(data)
    assert size <= MAX_FRAME, "texts are measured when they are stored"
    return f"{size:03}{status}{imei}{command}".encode("ascii") + data
