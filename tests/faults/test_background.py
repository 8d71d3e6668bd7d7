"""Work beside the service that fails for whatever reason ends nothing else."""

from __future__ import annotations

import errno
import json
import sqlite3
from contextlib import closing

import psycopg

from tests.e2e.caller import Robot, eventually, knowing
from tests.e2e.harness import Gateway, Json
from tests.faults.preload import Faults
from tests.postgres import Postgres

IMEI, NEW = "860000000000001", "860000000009999"
SETTINGS = {"store": {"refresh": 0.1}}


def refresh_state(served: Gateway) -> str:
    state: str = served.ask({"type": "status"})["background"].get("refresh", "")
    return state


def start(served: Gateway) -> Json:
    return served.ask({"imei": IMEI, "type": "start", "long": 5})


def test_f9_a_permission_that_is_taken_away_does_not_end_the_gateway(
    postgres: Postgres, postgres_url: str
) -> None:
    """F9 (a): the refresh met an error outside the known ones, and the process ended with 1."""
    with knowing(SETTINGS, store=postgres_url) as served, Robot(served, IMEI) as device:
        with psycopg.connect(postgres_url, autocommit=True) as database:
            database.execute("ALTER TABLE device RENAME TO device_away")
            state = eventually(lambda: refresh_state(served), lambda s: s not in ("", "ok"))
            assert "device" in state
            assert "SELECT" not in state
            assert start(served)["status"] == "200"
            database.execute("ALTER TABLE device_away RENAME TO device")
        eventually(lambda: refresh_state(served), lambda state: state == "ok")
        assert served.ask({"type": "add", "imei": NEW})["status"] == "200"
        assert start(served)["status"] == "200"
        assert len(device.seen) == 2
        told = [line for line in served.log().splitlines() if "background task crashed" in line]
        tasks = [json.loads(line)["task"] for line in told]  # reports read that table, too
        assert tasks.count("refresh") == 1, "told once"
        served.terminate()
        served.log_file.write_text("")  # with the traceback that belongs there


def test_f9_no_thread_does_not_end_the_gateway(faults: Faults) -> None:
    """F9 (b): "can't start new thread" in a refresh ended the process; it is an outage."""
    with (
        knowing(SETTINGS, environment=faults.environment()) as served,
        Robot(served, IMEI) as device,
    ):
        eventually(lambda: refresh_state(served), lambda state: state == "ok")
        faults.set(thread_errno=errno.EAGAIN, thread_faults=-1)
        # Threads that rest are used again for some seconds: ask for more than there are.
        eventually(
            lambda: many_reads(served), lambda replies: any(r["status"] == "503" for r in replies)
        )
        faults.clear()
        eventually(lambda: refresh_state(served), lambda state: state == "ok")
        assert start(served)["status"] == "200"
        assert len(device.seen) == 1


def many_reads(served: Gateway) -> list[Json]:
    """Replies to many requests at once that read the database."""
    from tests.e2e.caller import Caller

    callers = [Caller(served) for _ in range(20)]
    try:
        for caller in callers:
            caller.send(type="history", limit=1)
        return [caller.line() for caller in callers]
    finally:
        for caller in callers:
            caller.close()


def test_f9_a_table_that_is_gone_does_not_end_the_gateway() -> None:
    """F9 (c), without a damaged file: SQLite's own error at a refresh."""
    with knowing(SETTINGS) as served, Robot(served, IMEI):
        with closing(sqlite3.connect(served.folder / "devgate.db")) as database:
            database.execute("ALTER TABLE device RENAME TO device_away")
            database.commit()
            eventually(lambda: refresh_state(served), lambda s: s not in ("", "ok"))
            assert start(served)["status"] == "200"
            database.execute("ALTER TABLE device_away RENAME TO device")
            database.commit()
        eventually(lambda: refresh_state(served), lambda state: state == "ok")
        served.terminate()
        served.log_file.write_text("")  # with the traceback that belongs there
