"""What a machine's events and answers say of its trouble."""

from __future__ import annotations

import json
from typing import Any

from devgate.gateway.reports.diagnosis import DAY_SECONDS, SILENT_REASON, Connections, answers
from devgate.store.diagnosis import CommandAnswer

HOUR = 3600.0


def item(at: float, type: str, reason: str | None = None) -> tuple[float, str, str]:
    return at, f"device.{type}", json.dumps({} if reason is None else {"reason": reason})


def diagnosed(*items: tuple[float, str, str], days: int = 2) -> Any:
    return Connections(items, 0.0, days * DAY_SECONDS, days).reply()


def test_reconnects_are_counted_by_day_and_ours_are_not() -> None:
    found = diagnosed(
        item(1 * HOUR, "online"),  # before that nobody knows
        item(2 * HOUR, "offline", SILENT_REASON), item(3 * HOUR, "online"),
        item(4 * HOUR, "offline", "the gateway stops"), item(5 * HOUR, "online"),
        item(6 * HOUR, "taken_over"), item(7 * HOUR, "flapping"),
        item(23 * HOUR, "offline", "closed by the device"), item(26 * HOUR, "online"),
        item(46 * HOUR, "offline", SILENT_REASON),
    )  # fmt: skip
    days = found["by_day"]
    assert [one["reconnects"] for one in days] == [2, 1]
    assert [one["silences"] for one in days] == [1, 1]
    # The one that reaches into the next day is of both; the last one lasts.
    assert [one["away_seconds"] / HOUR for one in days] == [3, 4]
    assert (found["reconnects"], found["silences"], found["away_seconds"]) == (3, 2, 7 * HOUR)
    assert found["reasons"] == {
        SILENT_REASON: 2,
        "the gateway stops": 1,
        "closed by the device": 1,
    }
    assert found["odd"] == {"device.taken_over": 1, "device.flapping": 1}
    assert [(one["seconds"] / HOUR, one["until"] is None) for one in found["longest"]] == [
        (3, False), (2, True), (1, False), (1, False),
    ]  # fmt: skip


def test_nothing_happened() -> None:
    found = diagnosed(days=30)
    assert (found["reconnects"], found["away_seconds"], len(found["by_day"])) == (0, 0, 30)
    assert answers([]) == {
        "commands": 0, "unanswered": 0, "failed": 0, "median": None, "nine_in_ten": None,
        "slowest": None,
    }  # fmt: skip


def test_answers_by_their_time() -> None:
    some = [CommandAnswer("200", n / 10) for n in range(1, 11)]
    assert answers([*some, CommandAnswer("408", None), CommandAnswer("201", 9.0)]) == {
        "commands": 12, "unanswered": 1, "failed": 1, "median": 0.6, "nine_in_ten": 1.0,
        "slowest": 9.0,
    }  # fmt: skip
