"""`devgate nodes`: what is asked of the gateway, and what is said of its reply."""

from __future__ import annotations

import json

import pytest

from tests.cli.answering import Answering, Reply
from tests.cli.conftest import Run

A: Reply = {
    "id": "a", "alive": True, "draining": False, "address": "10.0.0.1:4000", "devices": 12_000,
    "in_flight": 3, "version": "0.1.0", "since": "2025-01-31T12:00:00.000Z",
}  # fmt: skip
LIST: Reply = {
    "status": "200",
    "items": [
        A,
        {**A, "id": "b", "draining": True, "devices": 7},
        {**A, "id": "c", "alive": False, "devices": 0, "in_flight": 0, "address": None},
    ],
    "leader": "a",
    "next": None,
}


def test_the_list(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [LIST]
    got = run("nodes", "list")
    assert got.exit_code == 0
    lines = [line.partition("2025")[0].rstrip() for line in got.stdout.splitlines()]
    assert lines == [
        "NODE  STATE         DEVICES  IN FLIGHT  ADDRESS        VERSION  SINCE",
        "a     alive, leads  12000    3          10.0.0.1:4000  0.1.0",
        "b     draining      7        3          10.0.0.1:4000  0.1.0",
        "c     dead          0        0                         0.1.0",
    ]
    assert json.loads(run("nodes", "list", "--json").stdout) == LIST
    assert gateway.requests == [{"type": "nodes"}] * 2


def test_drain_and_remove(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [{"status": "200", "message": "done"}]
    assert run("nodes", "drain", "a").stdout == "done\n"
    assert run("nodes", "drain", "a", "--undo").exit_code == 0
    assert run("nodes", "remove", "c", "--yes").exit_code == 0
    assert gateway.requests == [
        {"type": "node_drain", "node": "a", "draining": True},
        {"type": "node_drain", "node": "a", "draining": False},
        {"type": "node_remove", "node": "c"},
    ]


def test_nothing_is_removed_without_a_yes(run: Run, gateway: Answering) -> None:
    assert run("nodes", "remove", "c").exit_code == 2
    assert gateway.requests == []


@pytest.mark.parametrize(("status", "code"), [("400", 2), ("409", 9), ("503", 12)])
def test_a_refusal_is_said_and_has_its_exit_code(
    run: Run, gateway: Answering, status: str, code: int
) -> None:
    gateway.answer = lambda request: [{"status": status, "message": "no"}]
    for arguments in (("list",), ("drain", "a"), ("remove", "a", "--yes")):
        got = run("nodes", *arguments)
        assert (got.exit_code, got.stderr) == (code, "devgate: no\n")


def test_a_status_has_a_line_for_each_node(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [
        {"status": "200", "version": "0.1.0", "uptime": 5, "node": "a", "nodes": LIST["items"]}
    ]
    lines = run("status").stdout.splitlines()
    assert lines[0] == "devgate 0.1.0, up 5 s, node a"
    assert lines[-3:] == [
        "  node a            12,000 devices, 3 in flight",
        "  node b            7 devices, 3 in flight, draining",
        "  node c            dead",
    ]
