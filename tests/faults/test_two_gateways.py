"""Two gateways reach for one database: one of them works, and no order starts a machine twice."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.e2e.caller import Robot, eventually, knowing
from tests.e2e.device import frame
from tests.e2e.harness import Gateway
from tests.postgres import Postgres

IMEI = "860000000000001"
ORDER = {
    "imei": IMEI,
    "type": "start",
    "long": 77,
    "key": "order-1",
    "expires": 600,
    "wait": False,
}


@contextmanager
def second(store: str) -> Iterator[Gateway]:
    """A second gateway with the same database and doors of its own. It is not started."""
    other = Gateway(store=store)
    try:
        yield other
    finally:
        if other.process is not None and other.process.poll() is None:
            other.process.kill()
            other.process.wait()
        shutil.rmtree(other.folder)


def refused(other: Gateway, *words: str) -> None:
    """It ends with 12 and one sentence."""
    other.launch()
    assert other.wait() == 12
    assert all(word in other.log() for word in words), other.log()
    assert "Traceback" not in other.log()


def fenced(first: Gateway) -> None:
    """It ends by itself with 12, and says who has the database now."""
    assert first.wait() == 12, first.log()
    assert "the database has another owner: process" in first.log()
    assert "sends nothing more and ends" in first.log()


def starts_once(first: Gateway, other: Gateway) -> None:
    """The machine comes to the second gateway, which has the order; the first one ends."""
    with Robot(other, IMEI) as device:
        eventually(lambda: len(device.seen), lambda count: count == 1)
        fenced(first)
        again = other.ask({**ORDER, "wait": True})
        assert (again["status"], device.seen) == ("200", ["QD77"])
        events = other.ask({"type": "events", "imei": IMEI, "after": 0, "limit": 100})
        kinds = [event["type"] for event in events["items"] if event["type"].startswith("command")]
        assert kinds == ["command.accepted", "command.sent", "command.ended"]


def end_sessions(url: str) -> None:
    """What a restart of the server, `idle_session_timeout` or a firewall does to them."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'devgate'"
        )


def test_f1_after_a_restart_of_the_server_the_second_is_refused(
    postgres: Postgres, postgres_url: str
) -> None:
    """F1: the lock is taken again, also without a start that needs the database."""
    with knowing({}, store=postgres_url) as first, second(postgres_url) as other:
        assert first.ask(ORDER)["status"] == "000"
        refused(other, "another gateway works with the database", "PostgreSQL's process")
        postgres.stop()
        postgres.start()
        with psycopg.connect(postgres_url, autocommit=True) as conn:
            locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
            eventually(lambda: conn.execute(locks).fetchone(), lambda row: row == (1,))
        refused(other, "another gateway works with the database", "PostgreSQL's process")
        with Robot(first, IMEI) as device:
            eventually(lambda: device.seen, lambda seen: seen == ["QD77"])


def test_f1_a_second_one_that_gets_in_fences_the_first(
    postgres: Postgres, postgres_url: str
) -> None:
    """F1: both have the order, and the machine registers at the second and at the first."""
    with knowing({}, store=postgres_url) as first, second(postgres_url) as other:
        assert first.ask(ORDER)["status"] == "000"
        first.signal(signal.SIGSTOP)
        end_sessions(postgres_url)
        other.start()
        with first.unregistered() as stale:  # it waits in the backlog until the first one wakes
            stale.send(frame("000", IMEI, "HT"))
            first.signal(signal.SIGCONT)
            starts_once(first, other)
            assert b"QD" not in stale.read(4096), "the first gateway sent nothing"


def test_f3_a_symbolic_link_leads_to_the_same_lock(tmp_path: Path) -> None:
    """F3."""
    with knowing({}, store=f"sqlite:///{tmp_path}/devgate.db") as first:
        (tmp_path / "b.db").symlink_to(tmp_path / "devgate.db")
        assert first.process is not None
        with second(f"sqlite:///{tmp_path}/b.db") as other:
            refused(other, "another gateway works", f"process {first.process.pid} on ")


def test_f3_a_hard_link_is_refused(tmp_path: Path) -> None:
    """F3."""
    with knowing({}, store=f"sqlite:///{tmp_path}/devgate.db"):
        (tmp_path / "b.db").hardlink_to(tmp_path / "devgate.db")
        with second(f"sqlite:///{tmp_path}/b.db") as other:
            refused(other, "2 names (hard links)")
        (tmp_path / "b.db").unlink()


def test_f3_without_the_lock_file_the_first_is_fenced(tmp_path: Path) -> None:
    """F3: somebody tidied it away; both gateways know the order."""
    store = f"sqlite:///{tmp_path}/devgate.db"
    with knowing({}, store=store) as first, second(store) as other:
        assert first.ask(ORDER)["status"] == "000"
        (tmp_path / "devgate.db.lock").unlink()
        other.start()
        starts_once(first, other)


def test_f3_a_fenced_gateway_writes_nothing_over_the_other_ones_records(tmp_path: Path) -> None:
    """F3: a start in flight at the first gateway belongs to the second one's recovery."""
    store = f"sqlite:///{tmp_path}/devgate.db"
    with knowing({}, store=store) as first, second(store) as other:
        with Robot(first, IMEI, None) as device:
            reply = first.ask({"imei": IMEI, "type": "start", "long": 5, "wait": False})
            eventually(lambda: device.seen, lambda seen: seen == ["QD5"])
            (tmp_path / "devgate.db.lock").unlink()
            other.start()
            fenced(first)
        record = other.ask({"type": "command", "command": reply["command"]})
        assert record["status"] == "408"
        with sqlite3.connect(tmp_path / "devgate.db") as database:
            query = "SELECT count(*) FROM event WHERE type = 'command.ended'"
            assert database.execute(query).fetchone() == (1,)
        database.close()


def test_d16_ready_means_that_a_row_was_written(tmp_path: Path) -> None:
    """D16: a database that reads well and refuses the first row ends the start with a sentence."""
    store = f"sqlite:///{tmp_path}/devgate.db"
    with knowing({}, store=store):
        pass
    with sqlite3.connect(tmp_path / "devgate.db") as database:
        database.execute(
            "CREATE TRIGGER no BEFORE UPDATE ON owner BEGIN SELECT raise(abort, 'not here'); END"
        )
    database.close()
    with second(store) as other:
        refused(other, "cannot be opened", "not here")
        assert '"event": "ready"' not in other.log()
