"""A stop that the database does not let finish: outcomes go beside it, and come back."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.e2e.caller import Caller, Robot, eventually, knowing, settle
from tests.e2e.device import frame
from tests.e2e.harness import Gateway, Json
from tests.postgres import Postgres

IMEI = "860000000000001"
SLOW = {"command": {"ack_timeout": 30, "drain": 0}}


def start(**extra: object) -> Json:
    return {"imei": IMEI, "type": "start", "long": 500, **extra}


def record(served: Gateway, id: str) -> Json:
    return served.ask({"type": "command", "command": id})


def ends(served: Gateway, id: str) -> list[tuple[str, str]]:
    """The events of a command's end, as type and status."""
    items = served.ask({"type": "events", "after": 0, "limit": 1000})["items"]
    assert [event["event"] for event in items] == list(range(1, len(items) + 1))
    kinds = ("command.ended", "command.late")
    return [
        (e["type"], e["status"]) for e in items if e.get("command") == id and e["type"] in kinds
    ]


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None, timeout=60)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


def confirmed_and_stopped(served: Gateway) -> Json:
    """A start whose answer comes while the database is locked, up to the end of the process."""
    with served.register(IMEI) as device, Caller(served) as caller:
        caller.send(**start(key="order-1"))
        device.expect(frame("000", IMEI, "QD", "500"))
        with locked(served.folder / "devgate.db"):
            settle(device, IMEI, "QD500")
            reply = caller.line()
            assert reply["status"] == "200"
            assert "not on disk yet" in reply["message"]
            served.terminate()
    return reply


def test_f12_a_stop_of_a_locked_database_forgets_no_outcome() -> None:
    """F12: `systemctl restart` beside a locked database; the record said 408 afterwards."""
    with knowing(SLOW) as served:
        reply = confirmed_and_stopped(served)
        file = served.folder / "devgate.db.late"
        head, line = map(json.loads, file.read_text().splitlines()[1:])
        assert set(head) == {"database", "epoch", "devgate", "at"}
        assert (line["id"], line["status"], line["state"]) == (reply["command"], "200", "ended")
        with file.open("a") as half:
            half.write('{"id": "0')  # a power cut in the middle of a line
        served.start()
        told = record(served, reply["command"])
        assert (told["status"], told["late"], told["state"]) == ("200", False, "ended")
        assert ends(served, reply["command"]) == [("command.ended", "200")]
        assert not file.exists()


def test_f12_a_file_that_comes_later_makes_late_results_and_reports_the_rest() -> None:
    """F2, F12: `devgate db take` of a file that the next start did not see."""
    with knowing(SLOW) as served:
        reply = confirmed_and_stopped(served)
        file = served.folder / "elsewhere.late"
        shutil.move(served.folder / "devgate.db.late", file)
        served.start()
        assert record(served, reply["command"])["status"] == "408"
        line = json.loads(file.read_text().splitlines()[2])
        with file.open("a") as more:
            more.write(json.dumps({**line, "id": "0" * 26}) + "\n")
        for _ in range(2):  # twice does no harm
            done = served.cli("db", "take", str(file))
            assert done.returncode == 0, done.stderr
            assert "1 of 2 outcomes are taken" in done.stdout
            assert "no such command is on record" in done.stdout
        told = record(served, reply["command"])
        assert (told["status"], told["late"]) == ("200", True)
        assert ends(served, reply["command"]) == [
            ("command.ended", "408"),
            ("command.late", "200"),
        ]
        served.logged("does not count", "0" * 26)
        wrong = served.folder / "wrong"
        wrong.write_text("imei,id\n")
        assert served.cli("db", "take", str(wrong)).returncode == 2


def test_f2_a_file_of_another_database_is_set_aside() -> None:
    with knowing(SLOW) as served:
        confirmed_and_stopped(served)
        file = served.folder / "devgate.db.late"
        head, line = file.read_text().splitlines()[1:]
        other = {**json.loads(head), "database": "f" * 32}
        file.write_text(json.dumps(other) + "\n" + line + "\n")
        served.start()
        assert not file.exists()
        [aside] = served.folder.glob("devgate.db.late.aside-*")
        assert line in aside.read_text()
        served.logged("belongs to the database ffff")


def test_f1_a_fenced_gateway_leaves_its_outcomes_beside_the_database(
    postgres: Postgres, postgres_url: str
) -> None:
    """F1, F2: PostgreSQL, in the folder of the control socket; the next start takes them up."""
    with knowing(SLOW, store=postgres_url) as first, Robot(first, IMEI, None) as device:
        reply = first.ask(start(key="order-1", wait=False))
        eventually(lambda: device.seen, lambda seen: seen == ["QD500"])
        with psycopg.connect(postgres_url, autocommit=True) as conn:
            conn.execute("UPDATE owner SET epoch = epoch + 1, holder = 'another', taken_at = 0")
        device.device.send(frame("200", IMEI, "QD"))  # its own thread reads the answer
        assert first.wait() == 12
        [file] = first.socket.parent.glob("devgate-*.late")
        first.start()
        told = record(first, reply["command"])
        assert (told["status"], told["late"]) == ("200", False), "nobody had recovered it"
        assert not file.exists()


def test_f12_a_result_behind_db_take_settles_nothing_twice() -> None:
    """F12: the claim that the 408 had in the running gateway stayed open: the device's next
    result was credited to a command whose outcome had come with the file."""
    with knowing(SLOW) as served:
        reply = confirmed_and_stopped(served)
        file = served.folder / "elsewhere.late"
        shutil.move(served.folder / "devgate.db.late", file)
        served.start()
        assert record(served, reply["command"])["status"] == "408"
        assert served.cli("db", "take", str(file)).returncode == 0
        with served.register(IMEI) as device:
            settle(device, IMEI, "QD500", "202")  # of nothing that anybody knows
        told = record(served, reply["command"])
        assert (told["status"], told["late"]) == ("200", True)
        assert ends(served, reply["command"]) == [
            ("command.ended", "408"),
            ("command.late", "200"),
        ]
