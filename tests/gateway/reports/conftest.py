"""Three machines at two sites, with nothing counted yet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from trio.testing import MockClock

from devgate.gateway.reports import usage
from devgate.model import Imei
from devgate.store import devices
from devgate.store.device import Device
from devgate.store.engine import Database
from tests.gateway.reports.counted import World
from tests.store.plain import A, B, C


@pytest.fixture
def world(
    database: Database, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    with database.write() as conn:
        devices.claim(conn)
        devices.insert_all(conn, (
            Device(Imei(A), 1, site="east"), Device(Imei(B), 2, site="east", unit="times"),
            Device(Imei(C), 3, site="west"),
        ))  # fmt: skip
    made = World(database)
    monkeypatch.setattr(usage, "time", lambda: made.now)
    yield made
    made.journal.close()
    made.journal_of_storage.close()
