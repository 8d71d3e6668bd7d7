"""The database is replaced, removed or loses its newest rows under a running gateway."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import urllib.error
import urllib.request
from pathlib import Path

import psycopg
import pytest

from tests.e2e.caller import Robot, eventually, knowing
from tests.e2e.harness import Gateway, Json
from tests.postgres import Postgres

IMEI, OTHER, THIRD = "860000000000001", "860000000000002", "860000000000003"


def start(**extra: object) -> Json:
    return {"imei": IMEI, "type": "start", "long": 500, **extra}


def state(served: Gateway) -> str:
    return str(served.ask({"type": "status"})["store"])


def ready(served: Gateway) -> tuple[int, str]:
    [address] = served.ask({"type": "status"})["listen"]["http"]
    try:
        with urllib.request.urlopen(f"http://{address}/readyz") as reply:
            return reply.status, json.load(reply)["checks"]["store"]
    except urllib.error.HTTPError as err:
        with err:
            return err.code, json.load(err)["checks"]["store"]


HTTP = {"http": {"listen": ["127.0.0.1:0"]}}


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


def test_f6_a_failover_that_lost_the_last_orders(postgres: Postgres, postgres_url: str) -> None:
    """F6: the rows of the last orders are gone and the sessions ended, as by the promotion of a
    replica that was behind. They are written again, and no key starts its machine twice."""
    with knowing(HTTP, store=postgres_url) as served, Robot(served, IMEI) as device:
        for n in range(6):
            assert served.ask(start(key=f"order-{n}"))["status"] == "200"
        told = served.ask({"type": "events", "after": 0, "limit": 1000})["items"]
        with psycopg.connect(postgres_url, autocommit=True) as conn:
            conn.execute("DELETE FROM command WHERE key >= 'order-3'")
            conn.execute("DELETE FROM event WHERE n > %s", [told[-9]["event"]])
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'devgate'"
            )
        eventually(lambda: state(served), lambda words: "the database lost the events" in words)
        assert ready(served)[0] == 503
        for n in range(6):
            again = served.ask(start(key=f"order-{n}"))
            assert again["status"] == "200", "answered by its record"
        refused = served.ask(start(key="order-7"))
        assert (refused["status"], refused["outcome"]) == ("503", "refused")
        assert "the database lost the events" in refused["message"]
        assert len(device.seen) == 6
        served.kill()
        served.start()
        with Robot(served, IMEI) as device:
            assert served.ask(start())["status"] == "503", "it survives a restart"
            done = served.cli("db", "confirm-loss")
            assert done.returncode == 0, done.stderr
            assert "confirmed: the database lost the events" in done.stdout
            assert served.ask(start(key="order-7"))["status"] == "200"
            assert device.seen == ["QD500"]
        events = served.ask({"type": "events", "after": 0, "limit": 1000})["items"]
        assert [event["event"] for event in events] == list(range(1, len(events) + 1))
        assert events[: len(told)] == told, "with the numbers that were told"


def kept(served: Gateway, imei: str, key: str, expires: float = 600) -> str:
    """The id of an order that waits for its device."""
    reply = served.ask(
        {"imei": imei, "type": "start", "long": 5, "key": key, "expires": expires, "wait": False}
    )
    assert reply["status"] == "000", reply
    return str(reply["command"])


def test_f6_kept_orders_wait_until_the_loss_is_confirmed(
    postgres: Postgres, postgres_url: str
) -> None:
    """F6: an order that waits for its device is not ended because that registers meanwhile."""
    with knowing({}, store=postgres_url) as served, Robot(served, IMEI):
        assert served.ask(start())["status"] == "200"
        long, short = kept(served, OTHER, "long"), kept(served, THIRD, "short", 6)
        with psycopg.connect(postgres_url, autocommit=True) as conn:
            conn.execute("DELETE FROM event WHERE n > (SELECT max(n) - 3 FROM event)")
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'devgate'"
            )
        eventually(lambda: state(served), lambda words: "the database lost the events" in words)
        with Robot(served, OTHER) as device, Robot(served, THIRD) as other:
            assert served.logged("cannot be journalled", long)
            assert served.ask({"type": "command", "command": long})["state"] == "waiting"
            ended = eventually(
                lambda: served.ask({"type": "command", "command": short}),
                lambda record: record["state"] == "ended",
            )
            assert (ended["status"], other.seen) == ("410", [])
            assert served.cli("db", "confirm-loss").returncode == 0
            eventually(lambda: device.seen, lambda seen: seen == ["QD5"])
            eventually(
                lambda: served.ask({"type": "command", "command": long})["status"],
                lambda status: status == "200",
            )


def test_f6_kept_orders_wait_until_the_store_is_well() -> None:
    """Likewise while the database is locked; the order goes out by itself then."""
    with knowing({}) as served:
        id = kept(served, IMEI, "order-1")
        with contextlib.closing(sqlite3.connect(served.folder / "devgate.db")) as database:
            database.execute("BEGIN IMMEDIATE")
            eventually(lambda: state(served), lambda words: words != "ok")
            with Robot(served, IMEI) as device:
                assert served.logged("cannot be journalled", id)
                assert device.seen == []
                database.rollback()
                eventually(lambda: device.seen, lambda seen: seen == ["QD5"])
                eventually(
                    lambda: served.ask({"type": "command", "command": id})["status"],
                    lambda status: status == "200",
                )


def test_f6_confirmed_while_no_gateway_runs(postgres: Postgres, postgres_url: str) -> None:
    with knowing({}, store=postgres_url) as served:
        served.terminate()
        with psycopg.connect(postgres_url, autocommit=True) as conn:
            conn.execute("UPDATE owner SET lost = 'the database lost the events 1 to 2'")
        served.start()
        assert state(served) == "the database lost the events 1 to 2"
        served.terminate()
        done = served.cli("db", "confirm-loss")
        assert done.stdout == "confirmed: the database lost the events 1 to 2\n"
        assert served.cli("db", "confirm-loss").stdout == (
            "nothing was lost, nothing is changed\n"
        )
        served.start()
        assert state(served) == "ok"


def test_f6_a_key_of_this_run_is_answered_from_memory(
    postgres: Postgres, postgres_url: str
) -> None:
    """F6: the record is gone, and nothing else: no fresh connection has noticed."""
    with knowing({}, store=postgres_url) as served, Robot(served, IMEI) as device:
        first = served.ask(start(key="order-1"))
        with psycopg.connect(postgres_url, autocommit=True) as conn:
            conn.execute("DELETE FROM command")
        again = served.ask(start(key="order-1"))
        assert (again["status"], again["command"]) == ("200", first["command"])
        assert device.seen == ["QD500"]
        other = served.ask({"imei": IMEI, "type": "start", "long": 7, "key": "order-1"})
        assert other["status"] == "409"
