"""The database is replaced, removed or loses its newest rows under a running gateway."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.e2e.caller import Robot, eventually, knowing
from tests.e2e.harness import Gateway, Json
from tests.faults.losing import HTTP, IMEI, ready, start, state


def test_f5_a_restore_without_a_stop(tmp_path: Path) -> None:
    """F5: every start behind it is refused, and the file in its place stays whole."""
    file = tmp_path / "devgate.db"
    with knowing(HTTP, store=f"sqlite:///{file}") as served, Robot(served, IMEI) as device:
        assert served.ask(start())["status"] == "200"
        with contextlib.closing(sqlite3.connect(file)) as database:
            database.execute(f"VACUUM INTO '{tmp_path / 'copy.db'}'")
        (tmp_path / "copy.db").rename(file)
        replies = [served.ask(start(key=f"order-{n}")) for n in range(5)]
        assert {reply["status"] for reply in replies} == {"503"}
        assert all("nothing was sent" in reply["message"] for reply in replies)
        assert device.seen == ["QD500"]
        assert "was replaced or removed" in state(served)
        assert ready(served)[0] == 503
        assert served.ask({"type": "history"})["status"] == "503"
        served.terminate()
        with contextlib.closing(sqlite3.connect(file)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        served.start()
        assert [item["status"] for item in served.ask({"type": "history"})["items"]] == ["200"]


def test_f5_in_quiet_hours_it_is_noticed_without_a_start(tmp_path: Path) -> None:
    """F5: the empty commit of an idle writer looks, too."""
    file = tmp_path / "devgate.db"
    with knowing({}, store=f"sqlite:///{file}") as served:
        for name in tmp_path.glob("devgate.db*"):
            name.unlink()
        eventually(lambda: state(served), lambda words: "was replaced or removed" in words)
        assert not file.exists()


def ordered(served: Gateway, count: int) -> None:
    for n in range(count):
        assert served.ask(start(key=f"order-{n}"))["status"] == "200"


def events(served: Gateway) -> list[Json]:
    items: list[Json] = served.ask({"type": "events", "after": 0, "limit": 1000})["items"]
    return items


def log_of(file: Path) -> Path:
    return file.with_name(f"{file.name}-wal")


def whole(file: Path) -> bool:
    with contextlib.closing(sqlite3.connect(file)) as database:
        return bool(database.execute("PRAGMA integrity_check").fetchone() == ("ok",))


@pytest.mark.parametrize("left", [0, 40_000])
def test_f5_a_log_that_is_truncated(left: int) -> None:
    """F5: it was confirmed into a log of which nothing could be read again. What was in the log
    is written again, and no order starts its machine twice."""
    with knowing(HTTP) as served, Robot(served, IMEI) as device:
        file = served.folder / "devgate.db"
        ordered(served, 8)
        told = events(served)
        assert log_of(file).stat().st_size > left
        os.truncate(log_of(file), left)
        replies = [served.ask(start(key=f"new-{n}")) for n in range(3)]
        assert {reply["outcome"] for reply in replies} == {"refused"}
        words = eventually(lambda: state(served), lambda words: "lost the events" in words)
        status, said = ready(served)
        assert (status, words in said) == (503, True)
        assert served.logged("devgate.db-wal", "was truncated")
        ordered(served, 8)  # by their records
        assert len(device.seen) == 8
        assert served.cli("db", "confirm-loss").returncode == 0
        assert served.ask(start(key="new-0"))["status"] == "200"
        assert len(device.seen) == 9
        served.kill()
        assert whole(file)
        served.start()
        assert served.ask(start(key="order-7"))["status"] == "200"
        assert events(served)[: len(told)] == told


def test_f5_a_log_that_is_truncated_in_quiet_hours() -> None:
    """F5: noticed without a start; with a hole in place of what was cut, as a writer leaves it."""
    with knowing(HTTP) as served, Robot(served, IMEI):
        file = served.folder / "devgate.db"
        ordered(served, 3)
        size = log_of(file).stat().st_size
        os.truncate(log_of(file), 5000)
        os.truncate(log_of(file), size)
        eventually(lambda: state(served), lambda words: "lost the events" in words)
        assert len(served.ask({"type": "history"})["items"]) == 3
        served.kill()
        assert whole(file)


def test_f5_a_log_that_is_truncated_amid_a_transaction_of_another_program() -> None:
    """F5: the first page of the database is in the hole, so that SQLite itself refuses to begin a
    transaction, and a new connection. The gateway heals without a restart."""
    with knowing(HTTP) as served, Robot(served, IMEI) as device:
        file = served.folder / "devgate.db"
        ordered(served, 3)
        size = log_of(file).stat().st_size
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("CREATE TABLE theirs (x INTEGER)")  # page 1 is in the log behind `size`
            other.execute("INSERT INTO theirs VALUES (1)")
            other.execute("BEGIN IMMEDIATE")
            other.execute("UPDATE theirs SET x = 2")
            os.truncate(log_of(file), size)
            other.execute("COMMIT")
            other.execute("PRAGMA wal_autocheckpoint = 0")
        assert log_of(file).stat().st_size > size, "with a hole"
        assert served.ask(start(key="new-0"))["outcome"] == "refused"
        eventually(lambda: ready(served)[0], lambda status: status == 200)
        ordered(served, 3)  # by their records
        assert served.ask(start(key="new-1"))["status"] == "200"
        assert len(device.seen) == 4
        served.kill()
        assert whole(file)


def test_f5_a_checkpoint_by_another_program_is_no_loss() -> None:
    """It makes the log shorter and writes into the file, as it may."""
    with knowing({}) as served, Robot(served, IMEI) as device:
        file = served.folder / "devgate.db"
        for n, kind in enumerate(("TRUNCATE", "RESTART", "FULL", "PASSIVE")):
            assert served.ask(start(key=f"order-{n}"))["status"] == "200"
            with contextlib.closing(sqlite3.connect(file)) as database:
                assert database.execute(f"PRAGMA wal_checkpoint({kind})").fetchone()[0] == 0
                if kind == "TRUNCATE":
                    assert log_of(file).stat().st_size == 0
                if kind == "FULL":
                    database.execute("VACUUM")
        assert served.ask(start())["status"] == "200"
        assert state(served) == "ok"
        assert len(device.seen) == 5
        served.terminate()
        assert whole(file)


@pytest.mark.parametrize("by", ["cp", "truncate"])
@pytest.mark.parametrize("then", ["starts", "quiet", "stop"])
def test_f5_a_file_that_is_overwritten(tmp_path: Path, by: str, then: str) -> None:
    """F5: the same inode with other contents. No start is confirmed from then on, and the log of
    the former contents is not applied to the new ones."""
    copy = tmp_path / "copy.db"
    with knowing(HTTP) as served, Robot(served, IMEI) as device:
        file = served.folder / "devgate.db"
        ordered(served, 2)
        with contextlib.closing(sqlite3.connect(file)) as database:
            database.execute(f"VACUUM INTO '{copy}'")
        assert served.ask(start(key="order-2"))["status"] == "200"
        if by == "cp":
            shutil.copyfile(copy, file)
        else:
            os.truncate(file, 4096)
        if then == "starts":
            replies = [served.ask(start(key=f"new-{n}")) for n in range(3)]
            assert {reply["outcome"] for reply in replies} == {"refused"}
        if then != "stop":
            eventually(lambda: state(served), lambda words: "was overwritten" in words)
            assert ready(served)[0] == 503
            assert served.ask({"type": "history"})["status"] == "503"
        assert len(device.seen) == 3
        served.terminate()
        assert len(list(served.folder.glob("devgate.db-wal.of-overwritten-*"))) == 1
        if by == "truncate":
            assert file.stat().st_size == 4096
            return
        assert file.read_bytes() == copy.read_bytes(), "nothing was written into it"
        served.start()
        items = served.ask({"type": "history"})["items"]
        assert [item["key"] for item in items] == ["order-1", "order-0"]
