"""What the gateway says is said in Chinese: every message that a page may show has a form."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import devgate
from devgate.gateway.command import AMBIGUOUS, CORRECTED, DONE, ELSEWHERE, MESSAGES
from devgate.gateway.commands import recovery, sending
from devgate.gateway.nodes import dispatcher, estate, routing
from devgate.http.pages import messages, words
from devgate.http.pages.i18n import WORDS
from devgate.http.pages.messages import said
from devgate.store import outage

ROOT = Path(devgate.__file__).parent
RAISED = {"CallerError", "StoreError", "Problem", "Unknown", "DevgateError", "bad", "at"}
# What pages ask for and forms may set off; what only programs ask for may stay English.
FILES = (
    "gateway/operations/arguments.py", "gateway/operations/devices.py",
    "gateway/operations/at_hand.py", "gateway/operations/reports.py",
    "gateway/operations/unknown.py",
    "gateway/operations/status.py", "gateway/operations/upkeep.py", "gateway/commands/orders.py",
    "gateway/commands/spent_keys.py", "gateway/nodes/routing.py", "gateway/storage.py",
    "store/device.py", "store/devices.py", "model.py", "http/pages/device.py",
    "http/pages/view.py", "http/auth.py", "http/serving/quota.py",
    "gateway/bulk.py", "gateway/operations/bulk.py", "gateway/operations/importing.py",
    "gateway/uploads.py", "store/csv_rows.py", "store/csv_plan.py", "store/staging.py",
    "http/pages/bulk.py", "http/pages/importing.py", "http/pages/machine.py",
)  # fmt: skip
FOR_PROGRAMS = {"lines: {}", "lines: a list of the file's lines expected", "{}: {}"}


def template(node: ast.expr) -> str | None:
    """A message with {} for what it names."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
        )
    return None


def raised() -> Iterator[tuple[str, str]]:
    """(file, message) of each error that is made there."""
    for name in FILES:
        for node in ast.walk(ast.parse((ROOT / name).read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if called in RAISED:
                found = (template(one) for one in node.args)
                field = "{}: " if called == "bad" else ""
                yield from ((name, field + one) for one in found if one and " " in one)


def filled(text: str) -> str:
    """With what nobody could take for a message in place of each blank."""
    return re.sub(r"\{\}", "X7", text)


def test_each_error_has_its_chinese() -> None:
    missing = {
        (name, text)
        for name, text in raised()
        if text not in FOR_PROGRAMS and english_of(said("zh", filled(text)))
    }
    assert not missing


def english_of(text: str) -> list[str]:
    """Words of English that a Chinese sentence has, but for names and command lines."""
    return re.findall(r"\b[a-z]+ [a-z]+ [a-z]+\b", re.sub("`.*?`", "", text))


COMMANDS = (
    *MESSAGES.values(), *DONE.values(), AMBIGUOUS, CORRECTED, ELSEWHERE, recovery.STOPPED,
    recovery.UNSENT, sending.RUNS, sending.CONTESTED, dispatcher.MOVED, estate.DIED,
    estate.OFFLINE, routing.LOST_HOP,
)  # fmt: skip
OUTAGES = (*outage.SQLITE.values(), *outage.POSTGRESQL.values(), outage.AWAY)
LABELS = (*words.STATUS.values(), *words.ADVICE.values(), *WORDS["en"])


@pytest.mark.parametrize("text", [*COMMANDS, *OUTAGES, *LABELS])
def test_each_outcome_and_outage_has_its_chinese(text: str) -> None:
    assert said("zh", text) != text
    assert said("en", text) == text


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        (
            "no device with the IMEI 860000000009999 is known",
            "没有 IMEI 为 860000000009999 的设备",
        ),
        (
            "the database cannot be read: the database server cannot be reached",
            "无法读取数据库：无法连接数据库服务器",  # noqa: RUF001
        ),
        (
            "the gateway cannot write its journal (the disk is full); nothing was sent",
            "网关无法写入指令日志（磁盘已满）；未发送任何内容",  # noqa: RUF001
        ),
        ("it blinks; nothing was sent", "it blinks；未发送任何内容"),  # noqa: RUF001
        ("words that nobody has translated", "words that nobody has translated"),
        ("{key} is no blank; and {0} neither", "{key} is no blank; and {0} neither"),
    ],
)
def test_what_a_message_names_stands_in_its_chinese(english: str, chinese: str) -> None:
    assert said("zh", english) == chinese


def test_a_hostile_message_costs_little() -> None:
    """Forms are tried on what a peer may have written; that is short, or is not looked at."""
    text = "x: " * 5000
    assert said("zh", text) == text


def test_a_503_is_the_databases_unless_the_gateway_stopped() -> None:
    stopped = {"status": "503", "message": MESSAGES["503"]}
    refused = {"status": "503", "message": "the gateway cannot write its journal (x)"}
    assert words.status_of(stopped) == "Gateway stopped"
    assert words.status_of(refused) == words.status_of({"status": "503"}) == "Refused: not on disk"


def test_what_is_there_twice_is_the_same() -> None:
    found = messages.MESSAGES
    for english in found.keys() & WORDS["zh"].keys():
        assert found[english] == WORDS["zh"][english]
