"""`devgate alert`: what is asked of the gateway, and what is said of its reply."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from devgate.alerts.rule import KINDS
from devgate.cli import alert
from devgate.http.api.samples.alerts import ALERTS
from tests.cli.answering import Answering, Reply
from tests.cli.conftest import Run


def sample(name: str) -> Reply:
    reply = ALERTS[name].reply
    assert isinstance(reply, dict)
    return reply


def answer(reply: Reply, request: Reply) -> list[Reply]:
    return [reply]


def test_the_kinds_are_the_gateways() -> None:
    assert tuple(KINDS) == alert.KINDS


def test_lists(run: Run, gateway: Answering) -> None:
    for words, operation, first in (
        (("list",), "alerts", "away  offline  Chair 16  Mall North"),
        (("log",), "alert_log", "ops       away  sent   1      Machine offline: Chair 16"),
        (
            ("rule", "list"),
            "alert_rules",
            "away  offline             15 min  ops        22:00-07:00",
        ),
        (("receiver", "list"), "alert_receivers", "ops       wecombot://b...6/  zh        yes"),
    ):
        reply = sample(operation)
        gateway.answer = partial(answer, reply)
        got = run("alert", *words)
        assert got.exit_code == 0
        assert first in got.stdout.splitlines()[1]
        assert gateway.requests[-1]["type"] == operation
        gateway.answer = lambda request: [{"status": "200", "items": [], "next": None}]
        assert len(run("alert", *words).stdout.splitlines()) == 1


def test_a_rule_says_what_is_given_alone(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [{"status": "200", "message": "done"}]
    run("alert", "rule", "add", "away", "--kind", "offline", "--minutes", "0", "--to", "ops,anna",
        "--quiet", "22:00-07:00", "--zone", "Europe/Berlin", "--no-all-clear")  # fmt: skip
    run("alert", "rule", "edit", "away", "--disable", "--site", "", "--tag", "vip")
    run("alert", "rule", "remove", "away", "--yes")
    assert gateway.requests == [
        {"type": "alert_rule_add", "name": "away", "kind": "offline", "minutes": 0,
         "receivers": "ops,anna", "quiet": "22:00-07:00", "zone": "Europe/Berlin",
         "all_clear": False},
        {"type": "alert_rule_edit", "name": "away", "enabled": False, "site": "", "tag": "vip"},
        {"type": "alert_rule_remove", "name": "away"},
    ]  # fmt: skip
    assert run("alert", "rule", "edit", "away").exit_code == 2
    assert run("alert", "rule", "remove", "away").exit_code == 2


def test_a_receiver_from_a_file(run: Run, gateway: Answering, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("wecombot://hush\nmore\n")
    reply = {"status": "200", "message": "added the receiver ops", "secret": "whsec_x"}
    gateway.answer = lambda request: [reply]
    got = run("alert", "receiver", "add", "ops", "--url-file", str(file), "--language", "zh")
    assert got.stdout.splitlines()[1].startswith("secret whsec_x ")
    assert gateway.requests == [
        {"type": "alert_receiver_add", "name": "ops", "url": "wecombot://hush", "language": "zh"}
    ]
    assert run("alert", "receiver", "add", "ops").exit_code == 2
    file.write_text("\n")
    got = run("alert", "receiver", "edit", "ops", "--url-file", str(file))
    assert (got.exit_code, len(gateway.requests)) == (2, 1)
    assert "its first line is empty" in got.stderr
    run("alert", "receiver", "test", "ops")
    assert gateway.requests[-1] == {"type": "alert_receiver_test", "name": "ops"}
