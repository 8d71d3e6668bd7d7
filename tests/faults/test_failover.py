"""A failover to a real replica, by a URL of both servers: the gateway, its standby, the CLI."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import psycopg
import pytest

from devgate.store.promise import look
from tests.e2e.caller import Robot, eventually, knowing
from tests.e2e.harness import Gateway, Json
from tests.faults.test_standby import serves, standby, waits
from tests.postgres import Postgres, binaries, running

pytestmark = pytest.mark.slow  # real replicas

IMEI = "860000000000001"


@contextlib.contextmanager
def pair(*, synchronous: bool) -> Iterator[tuple[Postgres, Postgres]]:
    """A primary and its replica, which has caught up."""
    if (programs := binaries()) is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with running(programs) as primary, running(programs, primary) as replica:
        eventually(lambda: primary.sender(), lambda pid: pid is not None)
        if synchronous:
            with psycopg.connect(primary.url(), autocommit=True) as conn:
                conn.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                conn.execute("SELECT pg_reload_conf()")
                state = "SELECT sync_state FROM pg_stat_replication"
                eventually(lambda: conn.execute(state).fetchone(), lambda row: row == ("sync",))
        yield primary, replica


def start(served: Gateway, number: int) -> Json:
    return served.ask({"imei": IMEI, "type": "start", "long": 500, "key": f"order-{number}"})


def checked(served: Gateway) -> str:
    done = served.cli("serve", "--check")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_with_a_synchronous_replica_nothing_is_lost_and_the_standby_stays() -> None:
    """The gateway goes on at the promoted replica, and so does every command of the CLI."""
    with pair(synchronous=True) as (primary, replica):
        store = primary.url(replica)
        with (
            knowing({}, store=store) as served,
            standby(store) as other,
            Robot(served, IMEI) as device,
        ):
            waits(other)
            said = checked(served)
            assert "synchronous_standby_names is '*': one of these replicas has every" in said
            assert f"the server {primary.url().partition('host=')[2]}:5432 is the primary" in said
            assert f"the server {replica.url().partition('host=')[2]}:5432 is a replica" in said
            replica.stop()
            assert "synchronous_standby_names is '*' and no replica is connected" in checked(
                served
            )
            replica.start()
            for number in range(4):
                assert start(served, number)["status"] == "200"
            primary.stop(signal.SIGQUIT)
            served.until(
                None, "store", "no database server takes writes: a replica is not promoted yet"
            )
            assert start(served, 4)["status"] == "503"
            other.logged("standing by", "the database cannot be reached")
            replica.promote()
            eventually(lambda: start(served, 4), lambda reply: reply["status"] == "200")
            assert len(device.seen) == 5
            assert start(served, 0)["status"] == "200"
            assert len(device.seen) == 5, "its key is spent there, too"
            eventually(other.log, lambda log: log.count("another gateway works") == 2)
            for command in (["devices", "list"], ["db", "confirm-loss"], ["db", "take", "none"]):
                done = served.cli(*command)
                assert done.returncode == (2 if "take" in command else 0), done.stderr
            said = checked(served)
            assert "warning: PostgreSQL: synchronous_standby_names is empty" in said
            assert f"the server {primary.url().partition('host=')[2]}:5432 cannot be asked" in said
            done = served.cli("devices", "add", "123456787654321")
            assert done.returncode == 0, done.stderr
            other.signal(signal.SIGTERM)
            assert other.wait() == 0


def test_a_standby_that_takes_over_at_a_replica_that_was_behind_accepts_no_start() -> None:
    """Gateway and primary die at once: the standby alone knows that the last orders are lost."""
    with pair(synchronous=False) as (primary, replica):
        empty = "warning: PostgreSQL: synchronous_standby_names is empty"
        assert any(words.startswith(empty) for words in look(primary.url(), cluster=False))
        store = primary.url(replica)
        with knowing({}, store=store) as served, standby(store) as other:
            with Robot(served, IMEI) as device:
                assert start(served, 0)["status"] == "200"
                process = eventually(lambda: primary.sender(), lambda pid: pid is not None)
                assert process is not None
                os.kill(process, signal.SIGSTOP)  # a link that carries nothing any more
                assert start(served, 1)["status"] == "200"
                last = served.ask({"type": "status"})["last_event"]
                waits(other)
                assert device.seen == ["QD500", "QD500"]
            eventually(lambda: served.status(IMEI)["online"], lambda online: online is False)
            served.kill()
            primary.crash(process)
            replica.promote()
            serves(other)
            with Robot(other, IMEI) as device:
                refused = start(other, 1)
                assert (refused["status"], refused["outcome"]) == ("503", "refused")
                assert "before this gateway took it over" in refused["message"]
                assert start(other, 0)["status"] == "200", "answered by its record"
                assert device.seen == []
                status = other.ask({"type": "status"})
                assert "lost the events" in status["store"]
                assert status["last_event"] < last
                assert other.cli("db", "confirm-loss").returncode == 0
                assert start(other, 2)["status"] == "200"
                assert device.seen == ["QD500"]
            other.terminate()
