"""What the gateway says is said in Chinese: every message that it may answer with has a form."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli

import devgate
from devgate.gateway.command import AMBIGUOUS, CORRECTED, DONE, ELSEWHERE, MESSAGES
from devgate.gateway.commands import recovery, sending
from devgate.gateway.nodes import elsewhere, estate
from devgate.http.api.endpoints import CALLS
from devgate.http.api.misfit import words as words_of
from devgate.http.pages import messages as pages
from devgate.http.pages import words
from devgate.http.pages.i18n import WORDS
from devgate.language.messages import said
from devgate.store import outage

ROOT = Path(devgate.__file__).parent
RAISED = {
    "CallerError",
    "NotThere",
    "StoreError",
    "Problem",
    "Unknown",
    "DevgateError",
    "bad",
    "at",
    "problem",
}
# Of `operations.arguments`: where the field and what it may be stand, and how the sentence ends.
EXPECTED = {"expected": (0, "{}"), "required": (1, "nothing")}
# What a request may be answered with, over HTTP and at the control socket.
FILES = (
    "alerts", "gateway", "http", "control/requests.py", "control/connection.py", "model.py",
    "store/csv_import.py", "store/csv_plan.py", "store/csv_rows.py", "store/device.py",
    "store/device_orders.py", "store/devices.py", "store/node_journal.py",
    "store/node_orphans.py", "store/staging.py",
    "store/timelines.py",
)  # fmt: skip
# What the gateway's own user is told when it starts.
AT_THE_START = {"http/web.py"}
# Of these the words are elsewhere: a field's name, and a message in front of another one.
NO_WORDS = {"{}: {}", "{}; {}"}


def templates(node: ast.expr) -> Iterator[str]:
    """The messages that an expression stands for, each with {} for what it names."""
    if isinstance(node, ast.IfExp):
        yield from templates(node.body)
        yield from templates(node.orelse)
    elif (found := template(node)) is not None:
        yield found


def template(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
        )
    return None


def messages_of(file: Path) -> Iterator[str]:
    """Each error that is made there, and each message of a reply."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Dict):
            said_by = zip(node.keys, node.values, strict=True)
            found = [
                text
                for key, value in said_by
                if isinstance(key, ast.Constant) and key.value == "message"
                for text in templates(value)
            ]
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if called in EXPECTED and "operations" in file.parts:
                place, given = EXPECTED[called]
                field, what = (template(one) or "{}" for one in node.args[place : place + 2])
                yield f"{field}: {what} expected, not {given}"
            if called not in RAISED:
                continue
            # The store's bad(field, text) puts the field in front.
            named = called == "bad" and "store" in file.parts
            front, args = ("{}: ", node.args[1:]) if named else ("", node.args)
            found = [front + text for one in args for text in templates(one)]
        else:
            continue
        yield from (one for one in found if " " in one and one not in NO_WORDS)


def raised() -> Iterator[tuple[str, str]]:
    """(file, message) of all of them."""
    for name in FILES:
        path = ROOT / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            place = str(file.relative_to(ROOT))
            if place not in AT_THE_START and "samples" not in place:
                yield from ((place, text) for text in messages_of(file))


def filled(text: str) -> str:
    """With what nobody could take for a message in place of each blank."""
    return re.sub(r"\{\}", "X7", text)


def test_each_error_has_its_chinese() -> None:
    missing = {
        (name, text)
        for name, text in raised()
        if english_of(chinese := said("zh", filled(text))) or chinese == filled(text)
    }
    assert not missing


def test_what_a_field_may_be_has_its_chinese() -> None:
    kinds = {
        words_of(field.schema)
        for call in CALLS
        for field in (*call.place, *call.query, *call.head, *call.json)
    }
    assert not {kind for kind in kinds if said("zh", kind) == kind or " or " in said("zh", kind)}


def english_of(text: str) -> list[str]:
    """Words of English that a Chinese sentence has, but for names and command lines."""
    return re.findall(r"\b[a-z]+ [a-z]+ [a-z]+\b", re.sub("`.*?`", "", text))


COMMANDS = (
    *MESSAGES.values(), *DONE.values(), AMBIGUOUS, CORRECTED, ELSEWHERE, recovery.STOPPED,
    recovery.UNSENT, sending.RUNS, sending.CONTESTED, estate.DIED,
    estate.OFFLINE, elsewhere.LOST_HOP,
)  # fmt: skip
OUTAGES = (*outage.SQLITE.values(), *outage.POSTGRESQL.values(), outage.AWAY)
LABELS = (*words.STATUS.values(), *words.ADVICE.values(), *WORDS["en"])


@pytest.mark.parametrize("text", [*COMMANDS, *OUTAGES])
def test_each_outcome_and_outage_has_its_chinese(text: str) -> None:
    assert said("zh", text) != text
    assert said("en", text) == text


@pytest.mark.parametrize("text", LABELS)
def test_each_label_has_its_chinese(text: str) -> None:
    assert pages.said("zh", text) != text
    assert pages.said("en", text) == text


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
            "网关无法写入指令流水（磁盘已满）；未发送任何内容",  # noqa: RUF001
        ),
        (
            "by: machine, site, day or month expected, not 'week'",
            "by：应为 machine、site、day 或 month，而不是 'week'",  # noqa: RUF001
        ),
        ("sort: imei or -imei expected, not 1", "sort：应为 imei 或 -imei，而不是 1"),  # noqa: RUF001
        (
            "sort: site, -site or imei expected, not 1",
            "sort：应为 site、-site 或 imei，而不是 1",  # noqa: RUF001
        ),
        ("it blinks; nothing was sent", "it blinks；未发送任何内容"),  # noqa: RUF001
        ("words that nobody has translated", "words that nobody has translated"),
        ("{key} is no blank; and {0} neither", "{key} is no blank; and {0} neither"),
    ],
)
def test_what_a_message_names_stands_in_its_chinese(english: str, chinese: str) -> None:
    """D14: a message that names something stood in English on a Chinese page."""
    assert said("zh", english) == chinese


def test_a_hostile_message_costs_little() -> None:
    """Forms are tried on what a peer may have written; that is short, or is not looked at."""
    text = "x: " * 5000
    assert said("zh", text) == text


def test_a_503_is_the_databases_unless_the_gateway_stopped() -> None:
    """D13: a 503 of the database was shown as "Gateway stopped"."""
    stopped = {"status": "503", "message": MESSAGES["503"]}
    refused = {"status": "503", "message": "the gateway cannot write its journal (x)"}
    assert words.status_of(stopped) == "Gateway stopped"
    assert words.status_of(refused) == words.status_of({"status": "503"}) == "Refused: not on disk"


@pytest.mark.parametrize("folder", ["http/pages", "cli"])
def test_no_sentence_is_there_twice(folder: str) -> None:
    root = Path(devgate.__file__).parent
    files = [*root.glob("language/zh*.toml"), *root.glob(f"{folder}/zh*.toml")]
    found = Counter(text for file in files for text in tomli.loads(file.read_text("utf-8")))
    assert not [text for text, count in found.items() if count > 1]
