"""Reads files of `devgate tap --save`, and cuts a gateway's bytes into frames."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from devgate.errors import CallerError
from devgate.model import Imei, imei, shown
from devgate.protocol.frames import HEADER_SIZE, SHORT_404, encode


class SavedFrame(NamedTuple):
    """One line of a saved tap."""

    at: float  # seconds, wall clock
    address: str
    imei: Imei | None  # under which the connection was registered
    inward: bool  # from the device to the gateway
    data: bytes

    def registration(self) -> tuple[bytes, bytes] | None:
        """The registration and its answer that have to come before this frame, if it is the first.

        A tap that began on a registered connection does not have them.
        """
        if not self.imei:
            return None
        hello, welcome = (encode(status, self.imei, "HT") for status in ("000", "200"))
        return None if self.inward and hello in self.data else (hello, welcome)


def load(lines: Iterable[bytes]) -> tuple[list[SavedFrame], int]:
    """The frames of a file in their order, and how many were missed when it was saved.

    Raises ValueError, with the line's number.
    """
    saved, missed = [], 0
    for number, line in enumerate(lines, 1):
        try:
            frame = json.loads(line)
            if "missed" in frame:
                missed += int(frame["missed"])
                continue
            at = datetime.fromisoformat(frame["at"]).timestamp()
            data = frame["bytes"].encode("latin-1")
            inward = frame["direction"] == "in"
            known = None if frame["imei"] is None else imei(frame["imei"])
            saved.append(SavedFrame(at, frame["address"], known, inward, data))
        except (ValueError, KeyError, TypeError, AttributeError, CallerError):
            raise ValueError(
                f"line {number}: a line of `devgate tap --save` expected, not {shown(line)}"
            ) from None
    return saved, missed


def cut(data: bytes) -> tuple[list[bytes], bytes]:
    """A gateway's bytes as whole frames, and the tail. Bytes without a length are one frame."""
    frames: list[bytes] = []
    start = 0
    while len(length := data[start : start + 3]) == 3:
        if not length.isdigit() or int(length) < len(SHORT_404):
            return [*frames, data[start:]], b""
        stop = start + int(length)
        if stop > len(data):
            break
        frames.append(data[start:stop])
        start = stop
    return frames, data[start:]


def answers(frames: Iterable[bytes]) -> list[bytes]:
    """The frames without commands: callers asked for these, so they do not come in a replay."""
    return [
        frame
        for frame in frames
        if frame[3:6] != b"000" or frame[21:HEADER_SIZE] not in (b"QD", b"ST")
    ]
