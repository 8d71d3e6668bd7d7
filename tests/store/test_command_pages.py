"""Pages of commands in both databases: every filter, forward and back, and counts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection
from ulid import ULID

from devgate.gateway.command_record import record_outcome
from devgate.store import command_looks, command_pages, devices
from devgate.store.command_looks import WantedCommands
from devgate.store.device import Device
from devgate.store.engine import Database
from devgate.store.journal import Journal
from tests.store.commands import EPOCH, command_row
from tests.store.test_plans import plans

COUNT = 180
SITES = ("North", "South", "")
STATUSES = ("200", "200", "408", "200", "201", "404", "200", "202", "429", "200")
SOURCES = ("http:shop", "web:anna", "http:shop", "socket", "web:bo")


def imei(n: int) -> str:
    return f"86{n % 12:013}"


def values(n: int) -> dict[str, Any]:
    is_open = n % 60 == 7
    return {
        "imei": imei(n),
        "type": "stop" if n % 7 == 3 else "start",
        "status": "000" if is_open else STATUSES[n % len(STATUSES)],
        "state": ("waiting" if n % 120 == 7 else "sent") if is_open else "ended",
        "source": SOURCES[n % len(SOURCES)],
        "key": f"order {n // 3}" if n % 2 else None,
        "spent": None,
        "accepted_at": EPOCH + n * 60,
    }


IDS = [str(ULID.from_timestamp(EPOCH + n * 60)) for n in range(COUNT)]


@pytest.fixture
def filled(database: Database) -> Database:
    with database.write() as conn:
        for n in range(12):
            devices.insert_all(conn, [Device(imei(n), n, site=SITES[n % 3])])  # type: ignore[arg-type]
    journal = Journal(database)
    journal.commit([command_row(IDS[n], **values(n)) for n in range(COUNT)])
    journal.close()
    return database


def outcome(n: int) -> str:
    return record_outcome(values(n)["state"], values(n)["status"])


def ended_as(name: str, n: int) -> bool:
    return outcome(n) == name


Fits = Callable[[int], bool]
WANTED: dict[str, tuple[WantedCommands, Fits]] = {
    "all": (WantedCommands(), lambda n: True),
    "device": (WantedCommands(imei=imei(5)), lambda n: n % 12 == 5),
    "key": (WantedCommands(key="order 11"), lambda n: n // 3 == 11 and n % 2 == 1),
    "key and more": (
        WantedCommands(key="order 11", kind="start", site="North"),
        lambda n: n // 3 == 11 and n % 2 == 1 and n % 7 != 3 and n % 12 % 3 == 0,
    ),
    "waiting": (WantedCommands(state="waiting"), lambda n: n % 120 == 7),
    "ended": (WantedCommands(state="ended"), lambda n: n % 60 != 7),
    "sent of a device": (
        WantedCommands(state="sent", imei=imei(67)),
        lambda n: n % 60 == 7 and n % 120 != 7 and n % 12 == 7,
    ),
    **{
        name: (WantedCommands(outcomes=frozenset({name})), partial(ended_as, name))
        for name in ("pending", "done", "failed", "unknown", "refused")
    },
    "wrong": (
        WantedCommands(outcomes=frozenset({"failed", "unknown", "pending"})),
        lambda n: outcome(n) in ("failed", "unknown", "pending"),
    ),
    "wrong or done": (
        WantedCommands(outcomes=frozenset({"failed", "done"})),
        lambda n: outcome(n) in ("failed", "done"),
    ),
    "unknown of a device": (
        WantedCommands(imei=imei(2), outcomes=frozenset({"unknown"})),
        lambda n: n % 12 == 2 and outcome(n) == "unknown",
    ),
    "unknown of a site": (
        WantedCommands(site="South", outcomes=frozenset({"unknown"})),
        lambda n: n % 12 % 3 == 1 and outcome(n) == "unknown",
    ),
    "site": (WantedCommands(site="North"), lambda n: n % 12 % 3 == 0),
    "no site": (WantedCommands(site="nowhere"), lambda n: False),
    "stops": (WantedCommands(kind="stop"), lambda n: n % 7 == 3),
    "person": (WantedCommands(source="web:anna"), lambda n: n % 5 == 1),
    "program": (WantedCommands(source="socket"), lambda n: n % 5 == 3),
    "person and more": (
        WantedCommands(source="web:bo", kind="start", outcomes=frozenset({"refused"})),
        lambda n: n % 5 == 4 and n % 7 != 3 and outcome(n) == "refused",
    ),
    "time": (
        WantedCommands(since=EPOCH + 600, until=EPOCH + 6000), lambda n: 10 <= n < 100
    ),
    "time and outcome": (
        WantedCommands(
            since=EPOCH + 600, until=EPOCH + 6000, outcomes=frozenset({"failed", "pending"})
        ),
        lambda n: 10 <= n < 100 and outcome(n) in ("failed", "pending"),
    ),
}  # fmt: skip


def expected(name: str) -> list[str]:
    return [IDS[n] for n in reversed(range(COUNT)) if WANTED[name][1](n)]


def walk(conn: Connection, wanted: WantedCommands, size: int) -> list[str]:
    """Forward to the first command, and back to the newest: the same ones."""
    there: list[str] = []
    after: str | None = None
    while True:
        page = command_pages.find(conn, wanted, size, after=after)
        assert len(page.rows) <= size
        there += [row["id"] for row in page.rows]
        if (after := page.next) is None:
            break
    back = [row["id"] for row in page.rows]
    before, turned = page.prev, bool(page.prev)
    while before is not None:
        page = command_pages.find(conn, wanted, size, before=before)
        back = [row["id"] for row in page.rows] + back
        before = page.prev
    assert not turned or back == there
    return there


@pytest.mark.parametrize("bounds", [(4000, 16_000, 200), (10, 30, 200), (6, 18, 0)])
def test_every_command_comes_once_forward_and_back(
    filled: Database, monkeypatch: pytest.MonkeyPatch, bounds: tuple[int, int, int]
) -> None:
    near, far, few = bounds
    monkeypatch.setattr(command_pages, "FIRST_COMMANDS", near)
    monkeypatch.setattr(command_pages, "MORE_COMMANDS", far)
    monkeypatch.setattr(command_pages, "FEW_DEVICES", few)
    monkeypatch.setattr(command_looks, "MANY_DEVICES", few)
    with filled.read() as conn:
        for name, (wanted, _) in WANTED.items():
            for size in (3, 40):
                assert walk(conn, wanted, size) == expected(name), name


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), near=st.integers(1, 40), size=st.integers(1, 30))
def test_pages_join_wherever_they_are_cut(
    filled: Database, data: st.DataObject, near: int, size: int
) -> None:
    name = data.draw(st.sampled_from(sorted(WANTED)))
    with pytest.MonkeyPatch.context() as patch, filled.read() as conn:
        patch.setattr(command_pages, "FIRST_COMMANDS", near)
        patch.setattr(command_pages, "MORE_COMMANDS", 2 * near)
        assert walk(conn, WANTED[name][0], size) == expected(name)


def test_counts(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with filled.read() as conn:
        for name, (wanted, _) in WANTED.items():
            assert command_pages.count(conn, wanted) == (len(expected(name)), False), name
        monkeypatch.setattr(command_pages, "MAX_COUNT", 20)
        assert command_pages.count(conn, WantedCommands()) == (20, True)
        wrong = frozenset({"failed", "unknown"})
        assert command_pages.count(conn, WantedCommands(outcomes=wrong)) == (20, True)
        monkeypatch.setattr(command_pages, "FIRST_COMMANDS", 20)
        monkeypatch.setattr(command_pages, "MORE_COMMANDS", 20)
        newest = sum(1 for n in range(COUNT - 41, COUNT) if n % 7 == 3)
        assert command_pages.count(conn, WantedCommands(kind="stop")) == (newest, True)


INDEXED = {
    "unknown": "command_failed",
    "refused": "command_failed",
    "person": "command_person",
    "waiting": "command_open",
}


@pytest.mark.parametrize("name", INDEXED)
def test_what_is_rare_has_an_index(filled: Database, name: str) -> None:
    found = plans(filled, lambda conn: command_pages.find(conn, WANTED[name][0], 5), "seqscan")
    assert found
    for plan in found:
        assert INDEXED[name] in "\n".join(plan), plan
