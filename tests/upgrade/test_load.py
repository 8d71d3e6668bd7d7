"""scripts/upgrade in short: upgrades under load, and everything is counted."""

from __future__ import annotations

import threading

import pytest
from upgrading.__main__ import MUST_BE_ZERO
from upgrading.load import Load
from upgrading.waits import longest, upgrades_of

from tests.e2e.harness import Json, Settings, gateway
from tests.upgrade.harness import upgrade

DEVICES, UPGRADES = 200, 2


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_nothing_is_lost_and_nothing_is_done_twice(
    database: str, request: pytest.FixtureRequest
) -> None:
    store = "sqlite:///devgate.db"
    if database == "postgresql":
        store = request.getfixturevalue("postgres_url")
    imeis = [f"86{number:013}" for number in range(DEVICES)]
    settings: Settings = {"command": {"max_long": 10_000_000}, "service": {"phone": "400"}}
    with gateway(settings, store=store, devices=[{"imei": imei} for imei in imeis]) as running:
        load = Load(running.socket, running.device, imeis, 8)
        load.connect()
        upgraded: list[Json] = []

        def work() -> None:
            upgraded.extend(upgrade(running) for _ in range(UPGRADES))

        thread = threading.Thread(target=work)
        thread.start()
        load.run(100, 100, thread.is_alive, 150)
        thread.join()
        load.settle(60)
        report = load.report()
        waits = {"request": load.texts, "start": load.waits}
        about = longest(waits, upgrades_of(running.log()), load.turns)
        load.close()
    assert [one["connections"] for one in upgraded] == [DEVICES] * UPGRADES
    assert {name: report[name] for name in MUST_BE_ZERO} == dict.fromkeys(MUST_BE_ZERO, 0)
    assert report["replies"] == {"200": report["starts"]}
    assert [one["served"] for one in about] == [one["seconds"] for one in upgraded]
    for what in waits:
        longest_one = max(one[what]["seconds"] for one in about)
        assert 0 < longest_one <= report[f"longest_{what}_seconds"]
