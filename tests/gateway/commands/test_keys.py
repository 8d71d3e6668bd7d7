"""Which keys are certainly new: no key that is spent is ever called so."""

from __future__ import annotations

from itertools import count
from time import time
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from devgate.errors import StoreError
from devgate.gateway.command import Command, Order
from devgate.gateway.commands import keys as module
from devgate.gateway.commands.keys import MIN_BITS, Keys
from devgate.model import Imei
from devgate.store.batch import Row
from devgate.store.engine import Database
from devgate.store.journal import Journal
from tests.gateway.rig import Rig, X, ask


def spent(database: Database, keys: list[str]) -> None:
    """Journal an ended command for each of these keys."""
    numbers, rows = count(), []
    for key in keys:
        command = Command(f"{next(numbers):026}", Order(Imei(X), "start", 1, key), time())
        command.ends("200", time())
        rows.append(Row("command", command.values()))
    journal = Journal(database)
    journal.commit(rows)
    journal.close()


@given(st.lists(st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=128)))
def test_a_spent_key_is_never_new(names: list[str]) -> None:
    keys = Keys(None)  # type: ignore[arg-type]  # it reads nothing here
    keys.ready = True
    for key in names:
        keys.spend(key)
    assert not any(keys.is_new(key) for key in names)


async def test_those_on_disk_are_known_once_they_are_read(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(module, "PAGE_KEYS", 7)
    names = [f"order {n}" for n in range(100)]
    spent(rig.database, names)
    keys = rig.keys
    await keys.prepare()
    assert not keys.is_new("another"), "it may be on disk"
    keys.spend("spent meanwhile")
    await keys.load()
    assert keys.is_new("another")
    assert not any(keys.is_new(name) for name in [*names, "spent meanwhile"])


async def test_few_new_keys_pass_for_spent(rig: Rig, autojump_clock: MockClock) -> None:
    keys = rig.keys
    keys.ready = True
    for n in range(MIN_BITS // 16):
        keys.spend(f"spent {n}")
    wrong = sum(not keys.is_new(f"new {n}") for n in range(10_000))
    assert wrong < 60, "one in 400, says the arithmetic"


async def test_a_database_that_is_away_is_waited_for(
    rig: Rig, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent(rig.database, ["a"])
    await rig.keys.prepare()
    read, away = rig.records.read, True

    async def sometimes(*args: Any) -> Any:
        if away:
            raise StoreError("the database is locked")
        return await read(*args)

    monkeypatch.setattr(rig.records, "read", sometimes)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.keys.load)
        await trio.sleep(2.5)  # between two of its looks
        assert not rig.keys.ready
        away = False
        await trio.sleep(1)
        assert rig.keys.ready
    assert not rig.keys.is_new("a")


async def test_a_new_key_needs_no_database(rig: Rig, autojump_clock: MockClock) -> None:
    """Its start goes out behind one commit, and no look."""
    rig.knows_keys = True
    async with rig.lives() as nursery:
        link = rig.online()
        asked = ask(rig, nursery, key="k")
        await trio.sleep(1)
        rig.says()
        await trio.sleep(1)
        assert (asked.status, len(link.sent)) == ("200", 1)
        assert not rig.keys.is_new("k")
        assert rig.stored(asked.command.id)["spent"] == "k"  # type: ignore[union-attr]
