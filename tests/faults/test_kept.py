"""Kept starts while the database is away: nobody hears of an end that a kill would take back."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from tests.e2e.caller import Caller, Robot, knowing
from tests.e2e.device import frame

IMEI = "860000000000001"


def test_a_kept_start_that_a_kill_brings_back_was_not_told_as_unsent() -> None:
    """Found by scripts/faults: told 503 "nothing was sent", and after a kill its machine started.

    The turn of a kept start comes while the database is locked. On disk it still waits, so that
    the next gateway sends it: its caller must not have heard that it ended.
    """
    order = {"imei": IMEI, "type": "start", "long": 500, "key": "order", "expires": 600}
    with knowing({}) as served:
        assert served.ask({**order, "wait": False})["status"] == "000"
        database = sqlite3.connect(served.folder / "devgate.db", isolation_level=None)
        with contextlib.closing(database), Caller(served) as caller:
            caller.send(**order)
            database.execute("BEGIN IMMEDIATE")
            with served.register(IMEI) as device:
                served.logged("cannot be journalled")
                # That nothing comes takes real time: longer than a known outage is waited for.
                caller.socket.settimeout(3)
                with pytest.raises(TimeoutError):
                    caller.line()
                served.kill()
                device.expect_end()
        served.start()
        with Robot(served, IMEI) as robot:
            known = served.ask(order)
        assert known["status"] == "200"
        assert robot.seen == ["QD500"]


def test_it_goes_out_once_the_database_is_back() -> None:
    """The other end of the same: a kept start waits for the database as it does for its device."""
    order = {"imei": IMEI, "type": "start", "long": 500, "key": "order", "expires": 600}
    with knowing({}) as served:
        assert served.ask({**order, "wait": False})["status"] == "000"
        database = sqlite3.connect(served.folder / "devgate.db", isolation_level=None)
        with contextlib.closing(database), Caller(served) as caller:
            caller.send(**order)
            database.execute("BEGIN IMMEDIATE")
            with served.register(IMEI) as device:
                served.logged("cannot be journalled")
                database.execute("ROLLBACK")
                device.expect(frame("000", IMEI, "QD", "500"))
                device.send(frame("200", IMEI, "QD"))
                reply = caller.line()
                assert reply["status"] == "200"
                assert "not on disk" not in reply["message"]
        record = served.ask({"type": "command", "command": reply["command"]})
        assert (record["status"], record["late"]) == ("200", False)
