"""From events and commands to spans of time."""

from __future__ import annotations

import pytest

from devgate.events.kinds import Event
from devgate.gateway.reports.spans import Span, online_spans, running_spans


def events(*some: tuple[float, str]) -> list[Event]:
    return [Event(at, f"device.{what}", "1", None, "{}", n) for n, (at, what) in enumerate(some)]


@pytest.mark.parametrize(
    ("before", "happened", "spans"),
    [
        (None, (), []),
        ("online", (), [Span(0, 100)]),
        ("offline", (), []),
        (None, ((10, "offline"),), [Span(0, 10)]),
        (None, ((10, "online"),), [Span(10, 100)]),
        ("taken_over", ((10, "taken_over"), (20, "offline"), (30, "online")),
         [Span(0, 20), Span(30, 100)]),
        ("offline", ((10, "online"), (15, "online"), (20, "offline")), [Span(10, 20)]),
    ],
)  # fmt: skip
def test_when_it_was_online(
    before: str | None, happened: tuple[tuple[float, str], ...], spans: list[Span]
) -> None:
    last = events((-5, before))[0] if before else None
    assert online_spans(last, events(*happened), 0, 100) == spans


def command(at: float, type: str, long: int | None = None, **given: object) -> dict[str, object]:
    row = {"state": "ended", "status": "200", "late_at": None, "ended_at": at}
    return {**row, "type": type, "long": long, **given}


@pytest.mark.parametrize(
    ("commands", "spans"),
    [
        ([], []),
        ([command(5, "start", 10)], [Span(5, 15)]),
        ([command(5, "start", 10), command(9, "start", 10)], [Span(5, 25)]),
        ([command(5, "start", 10), command(9, "stop")], [Span(5, 9)]),
        ([command(5, "start", 10), command(20, "stop")], [Span(5, 15)]),
        ([command(5, "start", 10, status="408")], []),
        ([command(5, "start", 10, late_at=8)], [Span(8, 18)]),
        ([command(5, "start", 10, state="sent", status="000")], []),
        ([command(90, "start", 900)], [Span(90, 100)]),
        ([command(9, "stop"), command(5, "start", 10, late_at=12)], [Span(12, 22)]),
    ],
)
def test_when_it_ran(commands: list[dict[str, object]], spans: list[Span]) -> None:
    assert running_spans(commands, 100) == spans
