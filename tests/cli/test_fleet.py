"""`devgate fleet`: what is asked of the gateway, and what is said of its reply."""

from __future__ import annotations

from dataclasses import asdict

from devgate.cli.fleet import SENTENCES
from devgate.gateway.reports.attention import Item
from devgate.http.api.reply_schemas import SHAPES
from tests.cli.answering import Answering, Reply
from tests.cli.conftest import Run

FLEET: Reply = {"status": "200", "known": 3002, "online": 300, "offline": 2702, "running": 7}
HOUR: Reply = {"at": "2026-01-01T00:00:00.000Z", "online": 5, "start": 1, "stop": 0, "done": 1,
               "failed": 0, "unknown": 0, "unsent": 0, "open": 0}  # fmt: skip


def test_what_needs_attention(run: Run, gateway: Answering) -> None:
    """D10: 2,702 of 3,002 were offline, and nothing said so."""
    items = [
        Item("unknown_outcomes", "critical", 2),
        Item("offline", "critical", 2500, 2702),
        Item("failures", "warning", 9, 20, usual=1.5),
        Item("webhook", "warning", 1, name="shop", detail="it answered 500\x1b[2J"),
    ]
    gateway.answer = lambda request: [{**FLEET, "attention": [asdict(one) for one in items]}]
    assert run("fleet").stdout.splitlines() == [
        "300 online, 2,702 offline, 7 running of 3,002 devices",
        "",
        "critical  2 commands have an unknown outcome",
        "critical  2,702 devices are offline, 2,500 of them for more than a day",
        "warning   9 of 20 commands failed in the last 3 hours (usual are 1.5 %)",
        "warning   the webhook shop fails: it answered 500\\x1b[2J",
    ]
    gateway.answer = lambda request: [{**FLEET, "attention": []}]
    assert run("fleet").stdout.endswith("\nnothing needs attention\n")
    assert gateway.requests == [{"type": "fleet"}] * 2


def test_the_last_days(run: Run, gateway: Answering) -> None:
    unknown = dict.fromkeys(HOUR) | {"at": HOUR["at"]}
    hours = [unknown] * 6 + [HOUR] * 12
    gateway.answer = lambda request: [
        {"status": "200", "days": 7, "hours": hours, "complete": False}
    ]
    lines = run("fleet", "--days", "7").stdout.splitlines()
    assert [line.split()[2:] for line in lines[1:4]] == [
        [], ["5", "6", "0", "6", "0", "0", "0"], ["5", "6", "0", "6", "0", "0", "0"],
    ]  # fmt: skip
    assert lines[4] == "older hours are still counted; ask again"
    assert gateway.requests == [{"type": "trend", "days": 7}]


def test_each_kind_has_its_words() -> None:
    properties = SHAPES["Attention"]["properties"]
    assert set(SENTENCES) == set(properties["kind"]["enum"])
