"""`devgate unknown`: what is asked of the gateway, and what is said of its reply."""

from __future__ import annotations

import json

import pytest

from tests.cli.answering import Answering, Reply, Request
from tests.cli.conftest import Run

ONE, TWO = "01M8ACJXG58JF64186BWEAMZCP", "01M8ACJXG58JF64186BWEAMZCQ"
ITEM: Reply = {
    "status": "408", "imei": "123456787654321", "type": "start", "long": 500, "command": ONE,
    "key": "order-1", "ended_at": "2025-01-31T12:00:00.000Z", "ambiguous": False,
    "resolution": "unresolved", "verdict": None, "name": "Bay 1", "site": "North",
}  # fmt: skip
SAID: Reply = {
    "verdict": "ran",
    "resolved_by": "web:anna",
    "resolved_at": "2025-01-31T13:00:00.000Z",
}
ITEMS = [ITEM, {**ITEM, "command": TWO, "resolution": "contradicted", **SAID}]


def page(items: list[Reply], after: str | None = None) -> Reply:
    return {"status": "200", "items": items, "next": after, "count": 10_000, "more": True}


def test_the_list(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [page(ITEMS, TWO)]
    got = run("unknown", "list", "--site", "North", "--older", "2h", "--person", "anna", "--stops")
    assert got.exit_code == 0
    lines = got.stdout.splitlines()
    assert lines[0].split() == ["ENDED", "SITE", "DEVICE", "ORDER", "KEY", "COMMAND"]
    assert lines[1].endswith(f"North  Bay 1   start 500  order-1{' ' * 62}{ONE}")
    assert "contradicted: ran, by web:anna at 2025-01-31 13:00:00.000Z" in lines[2]
    assert got.stderr == f"devgate: there are 10,000+ in all: add --after {TWO}\n"
    asked = {"type": "unknown", "site": "North", "older": 7200, "person": "anna", "stops": True}
    assert gateway.requests == [asked]
    assert json.loads(run("unknown", "list", "--json").stdout) == page(ITEMS, TWO)


def test_one_is_resolved_by_its_id_or_by_its_key(run: Run, gateway: Answering) -> None:
    def answer(request: Request) -> list[Reply]:
        if request["type"] == "history":
            return [{"status": "200", "items": [{"command": TWO, "resolution": None}, ITEM]}]
        return [{"status": "200", "message": "resolved 2, as ran"}]

    gateway.answer = answer
    got = run(
        "unknown", "resolve", TWO, "order-1", "--verdict", "ran", "--by", "anna", "--together"
    )
    assert (got.exit_code, got.stdout) == (0, "resolved 2, as ran\n")
    assert gateway.requests[0] == {"type": "history", "key": "order-1"}
    assert gateway.requests[1] == {
        "type": "resolve", "commands": [TWO, ONE], "verdict": "ran", "note": None, "by": "anna",
        "together": True,
    }  # fmt: skip


def test_whoever_runs_it_says_so(
    run: Run, gateway: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "berta")
    gateway.answer = lambda request: [{"status": "409", "message": "anna was earlier"}]
    got = run("unknown", "resolve", ONE, "--verdict", "ran")
    assert (got.exit_code, got.stderr) == (9, "devgate: anna was earlier\n")
    assert gateway.requests[0]["by"] == "berta"


def test_all_that_fit_are_resolved_page_by_page(run: Run, gateway: Answering) -> None:
    def answer(request: Request) -> list[Reply]:
        if request["type"] == "unknown":
            return [page(ITEMS[1:]) if "after" in request else page(ITEMS[:1], ONE)]
        if request["commands"] == [TWO]:
            return [{"status": "409", "message": "anna was earlier", "resolved": []}]
        return [{"status": "200", "message": "resolved 1", "resolved": [ONE]}]

    gateway.answer = answer
    arguments = ("unknown", "resolve", "--all", "--old", "--verdict", "other")
    assert run(*arguments).exit_code == 2, "without a terminal only with --yes"
    assert [request["type"] for request in gateway.requests] == ["unknown"]
    got = run(*arguments, "--yes")
    assert got.exit_code == 9
    assert got.stdout == "resolved 1, as other\n"
    assert got.stderr == "devgate: anna was earlier\n"
    assert [request.get("after") for request in gateway.requests[1::2]] == [None, ONE]
    assert {request.get("old") for request in gateway.requests[1::2]} == {True}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--verdict", "ran"),
        (ONE, "--verdict", "ran", "--all"),
        (ONE, "--verdict", "ran", "--site", "North"),
        (ONE,),
        (ONE, "--verdict", "maybe"),
    ],
)
def test_nothing_is_asked_where_it_is_not_clear_what_is_meant(
    run: Run, gateway: Answering, arguments: tuple[str, ...]
) -> None:
    assert run("unknown", "resolve", *arguments).exit_code == 2
    assert gateway.requests == []


def test_a_key_without_an_unknown_outcome(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [{"status": "200", "items": []}]
    got = run("unknown", "resolve", "order-2", "--verdict", "ran")
    assert got.exit_code == 2
    assert "no command with the key order-2" in got.stderr
