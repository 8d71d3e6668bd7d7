"""Refused registrations in memory: bounded, and written a few at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from devgate.errors import CallerError
from devgate.gateway.devices.attempts import (
    MAX_OF_NETWORK,
    MAX_RECORDED,
    MAX_WAITING,
    WINDOW_SECONDS,
    Attempts,
)
from devgate.gateway.operations.entry import dispatch
from devgate.model import Imei
from devgate.store.engine import Database
from tests.gateway.rig import NOBODY, OFF, X, Y
from tests.gateway.whole import serving

Rows = list[tuple[Any, ...]]


class Noting:
    """Takes rows as Records does, and answers when the test says so."""

    def __init__(self) -> None:
        self.batches: list[Rows] = []
        self.answer: Callable[[Exception | None], None] = lambda err: None

    def unknown_devices(self, rows: Rows, on_done: Callable[[Exception | None], None]) -> None:
        self.batches.append(rows)
        self.answer = on_done


@pytest.fixture
def noting() -> Noting:
    return Noting()


@pytest.fixture
def attempts(noting: Noting) -> Attempts:
    return Attempts(noting)  # type: ignore[arg-type]  # all that it uses of Records


def imei(n: int) -> Imei:
    return Imei(f"99{n:013}")


def test_one_row_for_many_attempts(attempts: Attempts, noting: Noting) -> None:
    for port in range(3):
        attempts.refused(X, "unknown", f"192.0.2.1:{port}")
    attempts.refused(Y, "wrong", "192.0.2.2:9", X)
    attempts.flush()
    [[first, second]] = noting.batches
    assert first[:4] == (X, "unknown", "192.0.2.1:2", "192.0.2.1")
    assert (first[6], first[7]) == (3, None)
    assert (second[0], second[1], second[7]) == (Y, "wrong", X)
    attempts.refused(X, "unknown", "192.0.2.1:7")
    attempts.flush()
    assert len(noting.batches) == 1, "one is written at a time"
    noting.answer(None)
    attempts.flush()
    assert [row[6] for row in noting.batches[1]] == [1]


def test_a_flood_takes_a_bounded_number_of_places(attempts: Attempts, noting: Noting) -> None:
    now = 0.0
    for window in range(5):
        attempts.roll(now)
        for n in range(10_000):
            attempts.refused(imei(n + 10_000 * window), "unknown", "198.51.100.7:1")
        for n in range(1000):
            attempts.refused(imei(n + 10**6), "unknown", f"10.0.{n // 250}.{n % 250}:1")
        now += WINDOW_SECONDS
    attempts.roll(now)
    noting.answer(None)
    attempts.roll(now + WINDOW_SECONDS)
    assert all(len(rows) <= MAX_WAITING for rows in noting.batches)
    assert len(noting.batches[0]) == MAX_RECORDED
    assert sum(row[3] == "198.51.100.7" for row in noting.batches[0]) == MAX_OF_NETWORK


def test_what_could_not_be_written_is_counted_later(attempts: Attempts, noting: Noting) -> None:
    attempts.refused(X, "unknown", "192.0.2.1:1")
    attempts.refused(Y, "unknown", "192.0.2.1:2")
    attempts.flush()
    attempts.refused(X, "unknown", "192.0.2.1:3")
    noting.answer(OSError("away"))
    attempts.flush()
    assert [(row[0], row[6]) for row in noting.batches[1]] == [(X, 2), (Y, 1)]


async def test_refused_devices_are_listed_approved_and_dismissed(
    store: Database, autojump_clock: MockClock
) -> None:
    async with serving(store, registration="approve") as (whole, device, nursery):
        whole.know()

        async def ask(type: str, **args: object) -> dict[str, Any]:
            reply = await dispatch(whole.gateway, {"type": type, **args}, "test")
            assert isinstance(reply, dict)
            return reply

        async def listed(**args: object) -> dict[str, dict[str, Any]]:
            return {one["imei"]: one for one in (await ask("unknown_devices", **args))["items"]}

        for known in (NOBODY, NOBODY, OFF):
            await device.says(f"023000{known}HT".encode())
            await device.hears(23)
        registered = whole.dial(nursery)
        await registered.registers()
        other = "888888888888888"
        await registered.says(f"023000{other}HT".encode())
        assert await registered.hears(23) == f"023401{other}HT".encode()
        found = await listed()
        assert {imei: (one["reason"], one["count"]) for imei, one in found.items()} == {
            NOBODY: ("unknown", 2), OFF: ("disabled", 1), other: ("wrong", 1)
        }  # fmt: skip
        assert found[other]["connected_as"] == X
        assert await listed(reason="disabled") == {OFF: found[OFF]}
        await ask("dismiss", imei=other)
        assert set(await listed()) == {NOBODY, OFF}
        assert set(await listed(dismissed=True)) == {other}

        with pytest.raises(CallerError, match="enable it instead"):
            await ask("approve", imei=OFF)
        with pytest.raises(CallerError, match="has tried to register"):
            await ask("approve", imei="777777777777777")
        added = await ask("approve", imei=NOBODY, name="Bay 9")
        assert (added["name"], added["enabled"]) == ("Bay 9", True)
        assert set(await listed()) == {OFF}
        await device.says(f"023000{NOBODY}HT".encode())
        assert await device.hears(23) == f"023200{NOBODY}HT".encode()
        with pytest.raises(CallerError, match="begin at the first page"):
            await ask("unknown_devices", after="777777777777777")


async def test_without_the_setting_nobody_approves(store: Database) -> None:
    async with serving(store) as (whole, device, _):
        await device.says(f"023000{NOBODY}HT".encode())
        await device.hears(23)
        with pytest.raises(CallerError, match=r'\[device\] registration is "listed"') as refused:
            await dispatch(whole.gateway, {"type": "approve", "imei": NOBODY}, "test")
        assert refused.value.status == "409"


async def test_they_are_written_by_themselves(store: Database, autojump_clock: MockClock) -> None:
    async with serving(store) as (_, device, _):
        await device.says(f"023000{NOBODY}HT".encode())
        await device.hears(23)
        await trio.sleep(3 * WINDOW_SECONDS)
        with store.read() as conn:
            count = conn.exec_driver_sql("SELECT imei, count FROM unknown_device").all()
        assert [tuple(row) for row in count] == [(NOBODY, 1)]
