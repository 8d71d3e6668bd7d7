"""What `devgate diagnose` says of answers, in both languages."""

from __future__ import annotations

import pytest

from devgate.cli.diagnose import report
from tests.cli.answering import IMEI, Reply

ANSWERS: Reply = {
    "commands": 12, "unanswered": 1, "failed": 2, "median": 0.5, "nine_in_ten": 1.5, "slowest": 4,
}  # fmt: skip
FOUND: Reply = {
    "imei": IMEI, "since": "2026-11-20T00:00:00.000Z", "until": "2026-11-27T00:00:00.000Z",
    "name": "", "site": "", "model": "MC-9", "serial": "", "firmware": "", "iccid": "",
    "complete": True, "reconnects": 0, "silences": 0, "away_seconds": 0, "by_day": [],
    "reasons": {}, "odd": {}, "longest": [], "answers": ANSWERS,
    "others": {"devices": 1, **ANSWERS, "median": None, "nine_in_ten": None, "slowest": None},
}  # fmt: skip


def answers() -> list[str]:
    return [line for line in report(FOUND).splitlines() if " 12 " in line]


def test_answers_are_one_sentence() -> None:
    assert answers() == [
        "  12 commands, 1 unanswered, 2 failed; half within 0.5 s, nine in ten within 1.5 s, "
        "the slowest 4 s",
        "  12 commands, 1 unanswered, 2 failed",
    ]


def test_answers_are_one_sentence_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVGATE_LANG", "zh")
    assert answers() == [
        "  12 条指令，1 条无应答，2 条失败；半数在 0.5 秒内，九成在 1.5 秒内，最慢 4 秒",  # noqa: RUF001
        "  12 条指令，1 条无应答，2 条失败",  # noqa: RUF001
    ]
