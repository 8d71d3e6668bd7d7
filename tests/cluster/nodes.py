"""Nodes as processes, and short words for what is asked of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.e2e.caller import eventually
from tests.e2e.harness import Gateway, Json, gateway

A, B, C = "860000000000001", "860000000000002", "860000000000003"

D = "860000000000004"  # that no node knows at first


DEVICES = [{"imei": imei} for imei in (A, B, C)]


@contextmanager
def node(
    name: str, url: str, devices: Sequence[Json] | None = None, **settings: Any
) -> Iterator[Gateway]:
    with gateway({"cluster": {"node": name}, **settings}, store=url, devices=devices) as running:
        yield running


def claimed(node: Gateway, imei: str) -> None:
    """Return once the device takes commands there."""
    eventually(lambda: node.status(imei), lambda status: bool(status["online"]))


def events(node: Gateway, **more: object) -> list[tuple[int, str]]:
    reply = node.ask({"type": "events", "limit": 500, "after": 0, **more})
    return [(event["event"], event["type"]) for event in reply["items"]]


def in_the_background(node: Gateway, **request: object) -> Any:
    """Ask; returns a function that waits for the reply."""
    replies: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: replies.append(node.ask(request)))
    thread.start()

    def reply() -> dict[str, Any]:
        thread.join()
        [found] = replies
        return found

    return reply
