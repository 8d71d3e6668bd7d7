"""Frames and answers in words, for people who look at a device's traffic."""

from __future__ import annotations

from collections.abc import Iterable

from devgate.model import Imei
from devgate.protocol.frames import HEADER_SIZE, SHORT_404, Event, Frame, Heartbeat, ShortEcho


def decoded(events: Iterable[Event]) -> str:
    """The events of a read, in order: `HT 000 123456787654321; heartbeat`."""
    return "; ".join(map(_name, events))


def sent_frames(wire: bytes) -> str:
    """The frames that we sent, in order: `HT 200 123456787654321`.

    `wire` must hold whole frames, as encode() makes them.
    """
    names, at = [], 0
    while at < len(wire):
        size = int(wire[at : at + 3])
        frame = wire[at : at + size]
        if frame == SHORT_404:
            names.append("404")
        else:
            head, data = frame[:HEADER_SIZE].decode(), frame[HEADER_SIZE:]
            text = data.decode("utf-8", "replace")
            names.append(f"{head[21:]} {head[3:6]} {head[6:21]} {text}".rstrip())
        at += size
    return "; ".join(names)


def why(event: Event, wire: bytes, bound: Imei | None) -> str | None:
    """Why this event got this answer, if that says more than the answer itself.

    `bound` is the IMEI that the connection was registered as before the event.
    """
    if wire:
        return _why_answered(event, wire, bound)
    if isinstance(event, ShortEcho) or (isinstance(event, Frame) and not _is_result(event)):
        return "an echo of what only the server sends: not answered"
    if isinstance(event, Frame):
        return "the same result, which no command claims, within a second: not acknowledged"
    if isinstance(event, Heartbeat):
        return None
    return "malformed again within a second: not answered"


def _is_result(frame: Frame) -> bool:
    return frame.command in ("QD", "ST") and frame.status in ("200", "201", "202")


def _why_answered(event: Event, wire: bytes, bound: Imei | None) -> str | None:
    status = "404" if wire == SHORT_404 else wire[3:6].decode()
    if isinstance(event, Heartbeat):
        return "404: a heartbeat, and the device has not registered on this connection"
    if not isinstance(event, Frame):
        return "404: no frame can be read in these bytes"
    if status == "404":
        if bound is None and event.command in ("TN", "QR", "QD", "ST"):
            return "404: the device has not registered on this connection"
        return f"404: no such request or result: {event.command} with status {event.status}"
    if status == "300":
        if event.command == "HT":
            return "300: no device with this IMEI is in the store"
        return f"300: the store holds no text that answers {event.command}"
    if status == "401":
        if bound is None:
            return "401: the device is disabled"
        return f"401: the connection is registered as {bound}"
    return None


def _name(event: Event) -> str:
    if isinstance(event, Frame):
        return f"{event.command} {event.status} {event.imei}"
    if isinstance(event, ShortEcho):
        return "echo of 404"
    return "heartbeat" if isinstance(event, Heartbeat) else "malformed"
