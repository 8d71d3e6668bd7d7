"""The side file's lines: whole, half, and of several processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from devgate.store import late
from devgate.store.ownership import Owner
from tests.store.commands import command_row, event

OWNER = Owner(7, 1.0, "d" * 32, None)


def test_f12_the_newest_row_of_each_command_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "late"
    rows = [command_row("1", status="000", state="sent"), event(), command_row("2")]
    assert late.write(file, OWNER, [*rows, command_row("1", status="201")]) == 2
    found = late.read(file)
    assert [(line.database, line.epoch) for line in found] == [("d" * 32, 7)] * 2
    assert [(line.command["id"], line.command["status"]) for line in found] == [
        ("1", "201"), ("2", "200"),
    ]  # fmt: skip
    assert late.write(tmp_path / "none", OWNER, [event()]) == 0
    assert not (tmp_path / "none").exists()


def test_f12_half_a_line_is_tolerated_where_a_process_ended(tmp_path: Path) -> None:
    file = tmp_path / "late"
    late.write(file, OWNER, [command_row("1")])
    with file.open("a") as more:
        more.write('{"id": "half')
    assert [line.command["id"] for line in late.read(file)] == ["1"]
    late.write(file, OWNER._replace(epoch=8), [command_row("2")])
    found = late.read(file)
    assert [(line.command["id"], line.epoch) for line in found] == [("1", 7), ("2", 8)]


@pytest.mark.parametrize(
    "text", ["imei,id\n1,2\n", '{"id": "1"}\n', "[1]\n", '{"id": "half\n{"id": "1"}\n', "half"]
)
def test_a_file_that_is_no_side_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "late"
    file.write_text(text)
    if text == "half":
        late.write(file, OWNER, [command_row("1")])
        assert len(late.read(file)) == 1
        return
    with pytest.raises(ValueError, match="line 1"):
        late.read(file)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ended_at", 1e300), ("ended_at", float("nan")), ("ended_at", -1), ("late_at", 2.6e11),
        ("late_at", True), ("late_at", "1"), ("late", "no"), ("status", "999"), ("status", []),
        ("state", "over"), ("message", "a\0b"), ("message", "\ud800"), ("message", None),
        ("id", "1" * 27), ("id", "\0"), ("id", 1),
    ],
)  # fmt: skip
def test_what_no_database_takes_or_no_page_can_show_is_no_outcome(name: str, value: Any) -> None:
    """A time of 1e300 was stored: lists that had it failed, and so did every start."""
    head: dict[str, Any] = {"database": "d" * 32, "epoch": 7}
    line = {
        "id": "1", "status": "200", "state": "ended", "message": "started", "late": True,
        "ended_at": 1.0, "late_at": None,
    }  # fmt: skip
    assert len(late.parse([head, line])) == 1
    with pytest.raises(ValueError, match="line 2"):
        late.parse([head, {**line, name: value}])
