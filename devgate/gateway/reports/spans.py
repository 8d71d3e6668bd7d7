"""From events and commands to spans of time: when a device was online, when it ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from devgate.events.kinds import Event


class Span(NamedTuple):
    """Wall clock, in seconds."""

    since: float
    until: float


def online_spans(
    before: Event | None, events: Sequence[Event], since: float, until: float
) -> list[Span]:
    """When the device was online between two times.

    `before` is the last event before `since` that says whether it was. Without one, the
    first event in the time tells what it was until then.
    """
    telling = [e for e in events if e.type in ("device.online", "device.offline")]
    if before is not None:
        online = before.type != "device.offline"
    else:
        online = bool(telling) and telling[0].type == "device.offline"
    began, spans = since, list[Span]()
    for event in telling:
        goes_on = event.type == "device.online"
        if online and not goes_on:
            spans.append(Span(began, event.at))
        elif goes_on and not online:
            began = event.at
        online = goes_on
    if online:
        spans.append(Span(began, until))
    return spans


def settled_at(row: Mapping[str, Any]) -> float | None:
    """When the device confirmed the command; None if it did not."""
    if row["state"] != "ended" or row["status"] != "200":
        return None
    at: float | None = row["late_at"] or row["ended_at"]
    return at


def running_spans(commands: Sequence[Mapping[str, Any]], until: float) -> list[Span]:
    """When the device ran, as far as its confirmations say, up to `until`.

    A start that is confirmed while it runs adds to its time, as `running.RunningGateway` has it.
    """
    confirmed = [(at, row) for row in commands if (at := settled_at(row)) is not None]
    spans: list[Span] = []
    for at, row in sorted(confirmed, key=lambda one: one[0]):
        runs = bool(spans) and spans[-1].until > at
        if row["type"] == "start":
            if runs:
                spans[-1] = Span(spans[-1].since, spans[-1].until + row["long"])
            else:
                spans.append(Span(at, at + row["long"]))
        elif runs:
            spans[-1] = Span(spans[-1].since, at)
    return [Span(one.since, min(one.until, until)) for one in spans]
