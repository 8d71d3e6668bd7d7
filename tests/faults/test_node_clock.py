"""The wall clock of a node is set while it works."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import text
from ulid import ULID

from devgate.store.opening import open_database
from tests.cluster.nodes import claimed, in_the_background
from tests.e2e.caller import eventually, settle
from tests.e2e.device import frame
from tests.e2e.harness import gateway
from tests.faults.preload import Faults
from tests.postgres import Postgres

IMEI = "860000000000001"
DAYS = 3 * 86400.0
MINUTE = 60.0


@pytest.mark.parametrize("step", [DAYS, -DAYS])
def test_a_command_in_memory_keeps_its_times(
    faults: Faults, postgres: Postgres, step: float
) -> None:
    """The time of sending was that of the clock before it was set, and was corrected by what the
    clock was wrong by afterwards: it stood three days away in the record."""
    url, began = postgres.create_database(), time.time()
    with (
        gateway(
            {"cluster": {"node": "a"}, "command": {"ack_timeout": 1}},
            store=url, environment=faults.environment(), devices=[{"imei": IMEI}],
        ) as served,
        served.register(IMEI) as device,
    ):  # fmt: skip
        claimed(served, IMEI)
        reply = in_the_background(served, type="start", imei=IMEI, long=5, key="order-1")
        device.expect(frame("000", IMEI, "QD", "5"))
        faults.clock(step)
        sent = reply()
        assert sent["outcome"] == "unknown"
        settle(device, IMEI, "QD5")
        late = eventually(
            lambda: served.ask({"type": "command", "command": sent["command"]}),
            lambda it: bool(it["late"]),
        )
        assert late["outcome"] == "done"
        # So does one that begins afterwards.
        reply = in_the_background(served, type="start", imei=IMEI, long=6, key="order-2")
        device.expect(frame("000", IMEI, "QD", "6"))
        settle(device, IMEI, "QD6")
        found = reply()
        assert found["outcome"] == "done"
        with served.register(IMEI):  # which of two registrations is the later one goes by it
            claimed(served, IMEI)
        # Orders of a day are found by their ids.
        assert abs(ULID.from_str(found["command"]).timestamp - time.time()) < MINUTE
    database = open_database(url)
    with database.read() as conn:
        rows = conn.execute(text("SELECT accepted_at, sent_at, ended_at, late_at FROM command"))
        times = [at for row in rows for at in row if at is not None]
        times += conn.scalars(text("SELECT at FROM event")).all()
        times += conn.scalars(text("SELECT since FROM presence")).all()
    database.close()
    assert len(times) > 12
    assert all(began - MINUTE < at < time.time() + MINUTE for at in times), times
