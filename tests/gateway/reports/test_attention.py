"""What stands on the list of what a person should look at, and in which order."""

from __future__ import annotations

import pytest

from devgate.gateway.reports.attention import Rate, absent, failures, found
from devgate.store.absence import Absence

NONE = Absence(0, 0, 0, 0, 0, [], {})


@pytest.mark.parametrize(
    ("recent", "usual", "stands_out"),
    [
        (Rate(0, 100), Rate(10, 1000), False),
        (Rate(4, 4), Rate(0, 1000), False),  # too few to say anything
        (Rate(5, 50), Rate(0, 0), True),  # nothing is usual yet
        (Rate(5, 50), Rate(10, 1000), True),
        (Rate(9, 500), Rate(10, 1000), False),  # less than twice as many
        (Rate(10, 500), Rate(10, 1000), False),  # that is chance
        (Rate(13, 500), Rate(10, 1000), True),
        (Rate(60, 100), Rate(500, 1000), False),  # a bad fleet as it always is
    ],
)
def test_more_failures_than_usual(recent: Rate, usual: Rate, stands_out: bool) -> None:
    item = failures(recent, usual)
    assert (item is not None) == stands_out
    if item is not None:
        assert (item.count, item.of) == recent
        assert item.usual == (1.0 if usual.sent else None)


@pytest.mark.parametrize(
    ("absence", "offline", "of", "level"),
    [
        (NONE, 0, 0, None),
        (NONE, 4, 100, None),
        (NONE, 5, 100, "warning"),
        (NONE, 20, 100, "critical"),
        (NONE._replace(day=1), 1, 1000, "warning"),
    ],
)
def test_devices_that_are_offline(
    absence: Absence, offline: int, of: int, level: str | None
) -> None:
    item = absent(absence, offline, of)
    assert (item.level if item else None) == level


def test_the_list_has_what_is_critical_first() -> None:
    dark = [
        {"site": "East", "devices": 9, "back": 2, "of": 10, "first": "2026-01-01T00:00:00.000Z"},
        {"site": "West", "devices": 5, "back": 5, "of": 10, "first": "2026-01-01T00:00:00.000Z"},
    ]
    items = found(
        store="the disk is full",
        quarantine="a copy was restored",
        unknown=2,
        dark=dark,
        absence=absent(NONE._replace(day=3), 5, 1000),
        failing=failures(Rate(50, 60), Rate(1, 1000)),
        strangers=4,
        webhooks=[
            ("a", "ok", "", None),
            ("b", "failing", "no", 1.0),
            ("c", "disabled", "410", None),
        ],
        odd=1,
    )
    assert [(one["kind"], one["level"], one["name"], one["count"]) for one in items] == [
        ("store", "critical", None, 1), ("quarantine", "critical", None, 1),
        ("unknown_outcomes", "critical", None, 2),
        ("site_outage", "critical", "East", 7), ("webhook", "critical", "c", 1),
        ("failures", "warning", None, 50), ("offline", "warning", None, 3),
        ("webhook", "warning", "b", 1), ("unknown_devices", "warning", None, 4),
        ("odd_devices", "warning", None, 1),
    ]  # fmt: skip
    assert not found(
        store="ok", quarantine=None, unknown=0, dark=dark[1:], absence=None, failing=None,
        strangers=0, webhooks=[("a", "ok", "", None)], odd=0,
    )  # fmt: skip
