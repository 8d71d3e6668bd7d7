"""Rules in a real gateway, with a real receiver. The wall clock is the test's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio

from devgate.alerts.courier import Courier
from devgate.alerts.engine import CALM_SECONDS, GATHER_SECONDS, Subject
from devgate.alerts.rule import Rule
from devgate.gateway import alert_record, alerting
from devgate.gateway.alerting import Alerts
from devgate.model import Imei
from devgate.store import accounts, devices
from devgate.store import alerts as stored
from devgate.store.accounts import Account
from devgate.store.device import Device
from devgate.store.engine import Database
from devgate.store.journal import Journal
from devgate.store.maintenance import SITE, MaintenanceEntry
from devgate.store.opening import open_database
from tests.gateway.rig import X, Y
from tests.gateway.whole import Whole
from tests.store.commands import EPOCH, command_row
from tests.stores import with_tables
from tests.webhooks.receiver import SECRET, Receiver, receiving

MINUTE = 60.0
ID = f"01K{7:023}"


@dataclass
class Now:
    at: float = EPOCH
    asked: int = 0

    def __call__(self) -> float:
        self.asked += 1
        return self.at


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    clock = Now()
    monkeypatch.setattr(alerting, "time", clock)
    monkeypatch.setattr(alert_record, "time", clock)
    monkeypatch.setattr(alerting, "STORE_LOOK_SECONDS", 0.01)
    return clock


@pytest.fixture
def fresh(sqlite_url: str) -> Iterator[Database]:
    opened = open_database(with_tables(sqlite_url))
    yield opened
    opened.close()


def keep(database: Database, receiver: Receiver, *rules: Rule) -> None:
    """As the operations store them, but not encrypted."""
    with database.write() as conn:
        row = {"name": "ops", "url": receiver.url(), "secret": SECRET, "shown": "", "added_at": 0}
        stored.add_receiver(conn, row)
        for rule in rules:
            stored.add_rule(conn, {**rule.row(), "added_at": EPOCH})


@asynccontextmanager
async def running(database: Database) -> AsyncIterator[tuple[Whole, Alerts]]:
    whole = Whole(database)
    alerts = whole.gateway.alerts
    alerts.courier = Courier(allow_private=True)
    async with whole.lives() as nursery:
        nursery.start_soon(alerts.run)
        with trio.fail_after(60):
            while not alerts.mailboxes:  # noqa: ASYNC110
                await trio.sleep(0.001)
        yield whole, alerts
    await whole.aclose()


async def until(receiver: Receiver, count: int) -> list[dict[str, Any]]:
    await trio.to_thread.run_sync(receiver.wait, lambda r: len(r.taken) >= count)
    return [json.loads(got.body) for got in receiver.taken]


def written(conn: Any) -> list[str]:
    return [one["state"] for one in stored.log_page(conn, receiver=None, after=None, limit=9)]


async def until_reported(database: Database) -> None:
    """Wait until what fires is on disk as reported, or is gone."""
    with trio.fail_after(60):
        while True:
            with database.read() as conn:
                rows = stored.firing(conn)
            if all(row["told_at"] and not row["cleared_at"] for row in rows):
                return
            await trio.sleep(0.002)


async def test_a_receiver_that_cannot_be_posted_to_ends_nobody(fresh: Database, now: Now) -> None:
    """Earlier versions accepted such a URL, so it may be on disk."""
    with receiving() as receiver:
        keep(fresh, receiver, Rule("store", "store", ("bad", "ops"), minutes=0))
        with fresh.write() as conn:
            row = {"name": "bad", "url": "https://host:abc/", "secret": SECRET, "shown": "",
                   "added_at": 0}  # fmt: skip
            stored.add_receiver(conn, row)
        async with running(fresh) as (_, alerts):
            watch = alerts.watches["store"]
            watch.found([Subject("store", "away")], now.at)
            alerts._tell(watch, now.at)
            await until(receiver, 1)
            with trio.fail_after(60):
                while not alerts.mailboxes["bad"].error:  # noqa: ASYNC110
                    await trio.sleep(0.002)
    assert "the gateway's log says why" in str(alerts.mailboxes["bad"].error)


async def test_an_unknown_outcome_until_it_is_resolved(database: Database, now: Now) -> None:
    rule = Rule("unsure", "unknown_outcomes", ("ops",), minutes=30)
    journal = Journal(database)
    row = command_row(ID, imei=X, key="order-1", spent="order-1", status="408",
                      ended_at=EPOCH + MINUTE)  # fmt: skip
    journal.commit([row])
    journal.close()
    with receiving() as receiver:
        keep(database, receiver, rule)
        async with running(database) as (_, alerts):
            now.at = EPOCH + 30 * MINUTE
            await alerts.round()
            assert not receiver.got
            now.at = EPOCH + 31.5 * MINUTE
            await alerts.round()
            [body] = await until(receiver, 1)
            assert body["type"] == "alert.fired"
            assert body["data"]["fired"][0]["subject"] == ID
            assert "order-1" in body["data"]["title"]
            await until_reported(database)
        async with running(database) as (whole, alerts):  # the next run does not say it again
            now.at += GATHER_SECONDS
            await alerts.round()
            with database.write() as conn:
                whole.gateway.alerts.soon()
                conn.exec_driver_sql(
                    "UPDATE command SET verdict = 'ran', resolved_status = '408', resolved_at = 1"
                )
            now.at += GATHER_SECONDS
            await alerts.round()
            bodies = await until(receiver, 2)
            assert [one["type"] for one in bodies] == ["alert.fired", "alert.cleared"]
            assert bodies[1]["data"]["cleared"][0]["subject"] == ID
            await until_reported(database)
    with database.read() as conn:
        assert stored.firing(conn) == []
        assert written(conn) == ["sent", "sent"]


async def test_a_rule_of_somebody_tells_of_his_sites_alone(database: Database, now: Now) -> None:
    """As long as they are his: other sites of its owner are in force at the next look."""
    mine = Account("token", "mine", "admin", frozenset({"North", "West"}), "x", True, 0.0)
    rule = Rule("unsure", "unknown_outcomes", ("ops",), sites=mine.sites, owner="token:mine")
    ids = {site: f"01K{n:023}" for n, site in enumerate(("North", "South", "West"))}
    with database.write() as conn:
        accounts.add(conn, mine)
        for n, site in enumerate(ids):
            devices.add(conn, Device(Imei(f"86{n:013}"), n + 1, site, site))
    journal = Journal(database)
    journal.commit([
        command_row(id, imei=Imei(f"86{n:013}"), status="408", ended_at=EPOCH + MINUTE)
        for n, id in enumerate(ids.values())
    ])  # fmt: skip
    journal.close()
    with receiving() as receiver:
        keep(database, receiver, rule)
        async with running(database) as (_, alerts):
            now.at = EPOCH + 2 * MINUTE
            await alerts.round()
            [body] = await until(receiver, 1)
            assert {one["site"] for one in body["data"]["fired"]} == {"North", "West"}
            await until_reported(database)
            with database.write() as conn:
                accounts.change(conn, "token", "mine", {"sites": frozenset({"West"})})
                conn.exec_driver_sql(
                    "UPDATE command SET verdict = 'ran', resolved_status = '408', resolved_at = 1"
                )
            now.at += GATHER_SECONDS
            await alerts.round()
            bodies = await until(receiver, 2)
            assert [one["site"] for one in bodies[1]["data"]["cleared"]] == ["West"]
            await until_reported(database)
            with database.write() as conn:
                accounts.remove(conn, "token", "mine")
            await alerts.reload()
            assert alerts.watches["unsure"].rule.sites == frozenset()


async def test_a_database_that_fails_is_told_without_it(fresh: Database, now: Now) -> None:
    with receiving() as receiver:
        keep(fresh, receiver, Rule("store", "store", ("ops",), minutes=1))
        async with running(fresh) as (whole, alerts):
            whole.writer.away = "the disk is full"
            whole.records.event("device.slow", X)
            with trio.fail_after(60):
                while whole.records.state == "ok":  # noqa: ASYNC110
                    await trio.sleep(0.001)
            before = now.asked
            with trio.fail_after(60):
                while now.asked < before + 4:  # noqa: ASYNC110 - two looks at the database
                    await trio.sleep(0.001)
            assert not alerts.watches["store"].firing, "it has not lasted for a minute"
            assert not receiver.got
            now.at += 61
            [body] = await until(receiver, 1)
            assert body["data"]["kind"] == "store"
            assert "the disk is full" in body["data"]["text"]
            whole.writer.away = ""
            with trio.fail_after(60):
                while whole.records.state != "ok":
                    whole.records.event("device.slow", X)
                    await trio.sleep(0.01)
            now.at += CALM_SECONDS + GATHER_SECONDS
            bodies = await until(receiver, 2)
            assert bodies[1]["type"] == "alert.cleared"
            with trio.fail_after(60):
                while await alerts._records.read(written) != ["sent"] * 2:  # noqa: ASYNC110
                    await trio.sleep(0.002)


async def test_what_needs_attention_and_who_is_disabled(fresh: Database, now: Now) -> None:
    """Unknown devices are found by the look of the first page; a receiver at rest gets nothing."""
    with receiving() as receiver:
        keep(fresh, receiver, Rule("knocks", "unknown_devices", ("ops",)))
        with fresh.write() as conn:
            conn.exec_driver_sql(
                "INSERT INTO unknown_device (imei, reason, address, network, first_at, last_at, "
                "count) SELECT '860000000000099', 'unknown', 'a', 'a', t, t, 1 "
                "FROM (SELECT unixepoch() AS t)"
            )
        async with running(fresh) as (_, alerts):
            [body] = await until(receiver, 1)
            assert body["data"]["kind"] == "unknown_devices"
            await until_reported(fresh)
            with fresh.write() as conn:
                stored.change_receiver(conn, "ops", {"enabled": False})
                conn.exec_driver_sql("DELETE FROM unknown_device")
            await alerts.reload()
            alerts.watches["knocks"].firing["unknown_devices"].seen_at = now.at - CALM_SECONDS
            now.at += GATHER_SECONDS
            alerts._looks._look = _nothing
            await alerts.round()
            await until_reported(fresh)
            assert len(receiver.got) == 1
    with fresh.read() as conn:
        assert stored.firing(conn) == []


async def _nothing() -> list[dict[str, Any]]:
    await trio.lowlevel.checkpoint()
    return []


async def test_quiet_hours_are_those_of_the_site(fresh: Database, now: Now) -> None:
    """EPOCH is 06:13 in Shanghai. The zone of a site may change while the gateway runs."""
    rule = Rule("unsure", "unknown_outcomes", ("ops",), site="S", quiet="22:00-07:00")
    with receiving() as receiver:
        keep(fresh, receiver, rule)
        with fresh.write() as conn:
            devices.add(conn, Device(X, 1, site="S"))
            conn.exec_driver_sql("INSERT INTO site_zone VALUES ('S', 'Asia/Shanghai')")
        journal = Journal(fresh)
        ended = EPOCH + MINUTE
        journal.commit([command_row(ID, imei=X, status="408", ended_at=ended)])
        journal.close()
        async with running(fresh) as (_, alerts):
            now.at = EPOCH + 10 * MINUTE
            await alerts.round()
            assert alerts.watches["unsure"].rule.zone == "Asia/Shanghai"
            with fresh.write() as conn:
                conn.exec_driver_sql("UPDATE site_zone SET zone = 'America/New_York'")
            assert not receiver.got
            await alerts.round()
            [body] = await until(receiver, 1)
            assert "times in America/New_York" in body["data"]["text"]


async def test_a_machine_in_maintenance_is_told_once_that_is_over(
    fresh: Database, now: Now
) -> None:
    away = "UPDATE presence SET online = 0, since = ? WHERE imei = ?"
    with receiving() as receiver:
        keep(fresh, receiver, Rule("away", "offline", ("ops",), minutes=1))
        with fresh.write() as conn:
            for number, (imei, site) in enumerate(((X, "S"), (Y, "T"))):
                devices.add(conn, Device(imei, number, site=site))
                conn.exec_driver_sql(away, (EPOCH + 1, imei))
        async with running(fresh) as (whole, alerts):
            maintenance = whole.gateway.directory.maintenance
            entry = MaintenanceEntry(SITE, "S", "paint", EPOCH, None, "socket")
            maintenance.apply([entry])
            now.at = EPOCH + 2 * MINUTE
            await alerts.round()
            [body] = await until(receiver, 1)
            assert [one["subject"] for one in body["data"]["fired"]] == [Y]
            await until_reported(fresh)
            now.at += 10 * MINUTE
            await alerts.round()
            maintenance.apply([entry._replace(ended=True)])
            await alerts.round()
            bodies = await until(receiver, 2)
            assert [one["subject"] for one in bodies[1]["data"]["fired"]] == [X]
            await until_reported(fresh)
