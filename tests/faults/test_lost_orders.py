"""The database lost its newest orders: what is refused, what waits, and how that is confirmed."""

from __future__ import annotations

import contextlib
import sqlite3

import psycopg

from tests.e2e.caller import Robot, eventually, knowing
from tests.e2e.harness import Gateway
from tests.faults.losing import HTTP, IMEI, OTHER, THIRD, ready, start, state
from tests.postgres import Postgres


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
    """The same while the database is locked. The order goes out by itself then."""
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
