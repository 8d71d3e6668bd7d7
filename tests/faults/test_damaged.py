"""A damaged database at the start: one sentence and exit code 12, not a traceback."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest

from tests.e2e.caller import DEVICES
from tests.e2e.harness import Gateway


@pytest.mark.parametrize("table", ["device", "command", "presence", "event"])
def test_f19_a_damaged_table_is_a_sentence(table: str) -> None:
    """F19 (c): the file opens, and reading what it holds fails."""
    served = Gateway()
    try:
        file = served.folder / "devgate.db"
        served.fill(DEVICES)
        with closing(sqlite3.connect(file)) as database:
            (page,) = database.execute(
                "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
            ).fetchone()
            (size,) = database.execute("PRAGMA page_size").fetchone()
        with file.open("r+b") as damaged:
            damaged.seek((page - 1) * size)
            damaged.write(b"\xa5" * size)
        served.launch()
        assert served.wait() == 12, served.log()
        assert "[store] url" in served.log()
        assert "damaged" in served.log()
        assert "Traceback" not in served.log()
    finally:
        if served.process is not None and served.process.poll() is None:
            served.process.kill()
            served.process.wait()
        shutil.rmtree(served.folder)
