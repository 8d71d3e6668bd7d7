"""A failover to a real asynchronous replica that did not receive the last orders."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psycopg
import pytest

from tests.e2e.caller import Robot, eventually, knowing
from tests.e2e.harness import Gateway, Json
from tests.postgres import Postgres, binaries, running

pytestmark = pytest.mark.slow

IMEI = "860000000000001"
HELD = 4  # orders that the replica has; it has none of the ones behind them
ORDERS = 8


@pytest.fixture
def pair() -> Iterator[tuple[Postgres, Postgres]]:
    """A primary and its replica."""
    if (programs := binaries()) is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with running(programs) as primary, running(programs, primary) as replica:
        yield primary, replica


def start(served: Gateway, number: int) -> Json:
    return served.ask({"imei": IMEI, "type": "start", "long": 500, "key": f"order-{number}"})


def test_f6_the_promoted_replica_lacks_the_last_orders(pair: tuple[Postgres, Postgres]) -> None:
    """F6: the gateway finds that out by itself, writes again what it knows, with the numbers that
    were told, refuses new orders until an operator has confirmed, and sends nothing twice."""
    primary, replica = pair
    store = primary.url(replica)
    with knowing({}, store=store) as served, Robot(served, IMEI) as device:
        for number in range(HELD):
            assert start(served, number)["status"] == "200"
        process = eventually(lambda: primary.sender(), lambda pid: pid is not None)
        assert process is not None
        os.kill(process, signal.SIGSTOP)  # a link that carries nothing any more
        for number in range(HELD, ORDERS):
            assert start(served, number)["status"] == "200"
        told = served.ask({"type": "events", "after": 0, "limit": 1000})["items"]
        primary.crash(process)
        replica.promote()
        with psycopg.connect(replica.url()) as conn:
            keys = conn.execute("SELECT key FROM command ORDER BY key").fetchall()
        assert keys == [(f"order-{number}",) for number in range(HELD)], "the others are lost"

        lost = eventually(
            lambda: str(served.ask({"type": "status"})["store"]),
            lambda words: "the database lost the events" in words,
        )
        for number in range(ORDERS):
            assert start(served, number)["status"] == "200", "answered by its record"
        refused = start(served, ORDERS)
        assert (refused["status"], refused["outcome"]) == ("503", "refused")
        assert lost in refused["message"]
        assert len(device.seen) == ORDERS
        confirmed = served.cli("db", "confirm-loss")
        assert confirmed.returncode == 0, confirmed.stderr
        assert start(served, ORDERS)["status"] == "200", "at once"
        assert len(device.seen) == ORDERS + 1
        served.kill()
        served.start()
        events = served.ask({"type": "events", "after": 0, "limit": 1000})["items"]
        assert [event["event"] for event in events] == list(range(1, len(events) + 1))
        assert events[: len(told)] == told
        records = served.ask({"type": "history"})["items"]
        assert sorted(record["key"] for record in records) == [
            f"order-{number}" for number in range(ORDERS + 1)
        ]
        assert {record["status"] for record in records} == {"200"}
