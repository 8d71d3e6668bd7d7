"""Alerts of two nodes as processes: one sends messages, and the other continues."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.alerts.mail import mailroom
from tests.e2e.caller import eventually
from tests.e2e.harness import SAMPLE
from tests.http.harness import Site, site


@pytest.fixture
def two(postgres_url: str) -> Iterator[dict[str, Site]]:
    with ExitStack() as stack:
        nodes = {}
        for name in ("a", "b"):
            settings: dict[str, dict[str, object]] = {
                "store": {"url": postgres_url}, "cluster": {"node": name},
                "control": {"private_webhooks": True},
            }  # fmt: skip
            nodes[name] = stack.enter_context(site(settings))
        yield nodes


def ask(node: Site, **request: Any) -> dict[str, Any]:
    """Until a node leads, and it is known."""
    return eventually(lambda: node.ask(request), lambda reply: reply["status"] == "200")


def test_one_node_tells_and_the_other_goes_on(two: dict[str, Site]) -> None:
    a, b = two["a"], two["b"]
    with mailroom() as room:
        a.add_devices([{"imei": SAMPLE, "name": "Chair 16"}])
        ask(b, type="alert_receiver_add", name="ops", url=room.url)
        with b.register(SAMPLE):
            rule = {"name": "away", "kind": "offline", "minutes": 0, "receivers": ["ops"]}
            ask(a, type="alert_rule_add", **rule)
        a.until(SAMPLE, "online", False)
        ask(b, type="alert_rule_edit", name="away", all_clear=True)
        room.wait(1)
        for node in (a, b):
            [item] = eventually(
                lambda node=node: node.ask({"type": "alerts"})["items"],  # type: ignore[misc]
                lambda items: bool(items) and bool(items[0]["told_at"]),
            )
            assert item["subject"] == SAMPLE
        leader = a.ask({"type": "nodes"})["leader"]
        left = two["b" if leader == "a" else "a"]
        two[leader].kill()
        ask(left, type="alert_rule_edit", name="away", repeat=60)
        with left.register(SAMPLE):
            ask(left, type="alert_rule_edit", name="away", repeat=90)
            eventually(lambda: left.ask({"type": "alerts"})["count"], lambda count: count == 0)
        assert room.subjects() == ["Machine offline: Chair 16"]
