"""Lists of devices in both databases: every filter, every order, and pages that join."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from devgate.errors import CallerError
from devgate.model import Imei
from devgate.store import device_filters, device_pages, devices, starts
from devgate.store.device import Device
from devgate.store.device_filters import WantedDevices
from devgate.store.device_orders import SORTS
from devgate.store.engine import Database
from devgate.store.opening import open_database
from devgate.store.starts import WEIGHT_DECAY, Starts
from tests.store.commands import EPOCH
from tests.stores import with_tables

NOW = EPOCH + 10 * 86400
COUNT = 48
NAMES = ("Bay", "浴室", "北楼二层", "Ä", "50% off", "", "a_b")
SITES = ("North", "南楼", "", "mall/2")


def imei(n: int) -> Imei:
    # As they lie in the table and by their numbers they come in other orders.
    return Imei(f"86{(n * 7919) % 100_000:013}")


def known(n: int) -> Device:
    name = f"{NAMES[n % len(NAMES)]}{n % 5 or ''}"
    return Device(imei(n), (n * 37) % 101, name, SITES[n % len(SITES)], enabled=n % 11 != 3)


@pytest.fixture
def filled(database: Database) -> Database:
    return fill(database)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def untouched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """The same for all tests that only read. It has compiled their statements by then."""
    url = f"sqlite:///{tmp_path_factory.mktemp('pages') / 'devgate.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").create_database()
    opened = open_database(with_tables(url))
    yield fill(opened)
    opened.close()


def fill(database: Database) -> Database:
    """Devices of every state, some with the same time."""
    with database.write() as conn:
        devices.insert_all(conn, map(known, range(COUNT)))
        for n in range(COUNT):
            if n % 6 == 5:
                continue  # never seen
            values = {
                "imei": imei(n),
                "online": n % 6 in (0, 1),
                "since": NOW - (n // 3) * 43_200,
                "until": NOW + 60 if n % 12 in (0, 2) else NOW - 60 if n % 12 == 1 else None,
            }
            conn.execute(
                text(
                    "UPDATE presence SET online = :online, since = :since, "
                    "running_until = :until WHERE imei = :imei"
                ),
                values,
            )
        for n in range(0, COUNT, 4):
            for m in range(10):
                done = m >= n % 3
                hour = int((NOW - (n % 10) * 86_400) // 3600) if done else 0
                row = Starts(imei(n), WEIGHT_DECAY, 1.0, 0.0 if done else 1.0, hour)
                starts.count(conn, [row])
    return database


Fits = Callable[[int], bool]
WANTED: dict[str, tuple[WantedDevices, Fits]] = {
    "all": (WantedDevices(), lambda n: True),
    "site": (WantedDevices(site="南楼"), lambda n: n % 4 == 1),
    "text": (WantedDevices(text="浴室"), lambda n: n % 7 == 1),
    "one sign": (WantedDevices(text="北"), lambda n: n % 7 == 2),
    "sign like another": (WantedDevices(text="50%"), lambda n: n % 7 == 4),
    "line": (WantedDevices(text="a_b"), lambda n: n % 7 == 6),
    "case": (WantedDevices(text="bAy"), lambda n: n % 7 == 0),
    "words of a site": (WantedDevices(text="MALL"), lambda n: n % 4 == 3),
    "end of an imei": (WantedDevices(text=imei(7)[-5:]), lambda n: n == 7),
    "number": (WantedDevices(text="37"), lambda n: known(n).id == 37 or "37" in imei(n)),
    "nothing": (WantedDevices(text="nobody"), lambda n: False),
    "online": (WantedDevices(online=True), lambda n: n % 6 in (0, 1)),
    "offline": (WantedDevices(online=False), lambda n: n % 6 not in (0, 1)),
    "disabled": (WantedDevices(enabled=False), lambda n: n % 11 == 3),
    "enabled": (WantedDevices(enabled=True), lambda n: n % 11 != 3),
    "never seen": (WantedDevices(seen=False), lambda n: n % 6 == 5),
    "seen": (WantedDevices(seen=True), lambda n: n % 6 != 5),
    "running": (WantedDevices(running=True), lambda n: n % 12 in (0, 2)),
    "not running": (WantedDevices(running=False), lambda n: n % 12 not in (0, 2) ),
    "away": (
        WantedDevices(away_since=NOW - 3 * 86_400),
        lambda n: n % 6 in (2, 3, 4) and (n // 3) * 43_200 > 3 * 86_400,
    ),
    "idle": (
        WantedDevices(idle_since=NOW - 5 * 86_400),
        lambda n: n % 4 != 0 or (n % 10) > 5,
    ),
    "failing": (WantedDevices(failing=0.1), lambda n: n % 4 == 0 and n % 3 == 2),
    "several": (
        WantedDevices(online=False, site="North", enabled=True, idle_since=NOW - 5 * 86_400),
        lambda n: n % 6 not in (0, 1) and n % 4 == 0 and n % 11 != 3 and (n % 10) > 5,
    ),
    "contrary": (WantedDevices(online=True, seen=False), lambda n: False),
}  # fmt: skip


def walk(conn: Connection, wanted: WantedDevices, size: int, **how: Any) -> list[Imei]:
    """All pages, forward, and back again: the same devices."""
    forward: list[list[Imei]] = []
    after: str | None = None
    while True:
        page = device_pages.find(conn, wanted, size, after=after, **how)
        forward.append([row.device.imei for row in page.rows])
        last = page
        if (after := page.next) is None:
            break
    backward: list[list[Imei]] = []
    before = last.prev
    while before is not None:
        page = device_pages.find(conn, wanted, size, before=before, **how)
        backward.insert(0, [row.device.imei for row in page.rows])
        before = page.prev
    there = [one for some in forward for one in some]
    if last.prev is not None:
        back = [one for some in backward for one in some] + [row.device.imei for row in last.rows]
        assert back == there
    return there


@pytest.mark.parametrize("bounds", [(3000, 12_000, 10_000), (5, 14, 0), (4, 9, 20)])
@pytest.mark.parametrize("sort", SORTS)
def test_every_device_comes_once_forward_and_back(
    untouched: Database, monkeypatch: pytest.MonkeyPatch, sort: str, bounds: tuple[int, int, int]
) -> None:
    """Whichever step finds it: near, in a set as a whole, or further on."""
    near, far, most = bounds
    monkeypatch.setattr(device_pages, "SMALL_SET", most and near)
    monkeypatch.setattr(device_pages, "MAX_DEVICES", most)
    monkeypatch.setattr(device_pages, "FIRST_DEVICES", near)
    monkeypatch.setattr(device_pages, "MORE_DEVICES", far)
    with untouched.read() as conn:
        for name, (wanted, fits) in WANTED.items():
            expected = {imei(n) for n in range(COUNT) if fits(n)}
            wanted = wanted._replace(now=NOW)
            up = walk(conn, wanted, 9, sort=sort)
            assert sorted(up) == sorted(expected), name
            assert walk(conn, wanted, 14, sort=sort, down=True) == up[::-1], name


def test_orders_are_those_that_people_mean(untouched: Database) -> None:
    numbers = {imei(n): n for n in range(COUNT)}
    with untouched.read() as conn:

        def listed(sort: str) -> list[int]:
            rows = device_pages.find(conn, WantedDevices(now=NOW), COUNT, sort=sort).rows
            return [numbers[row.device.imei] for row in rows]

        assert [known(n).id for n in listed("id")] == sorted(known(n).id for n in range(COUNT))
        since = [0 if n % 6 == 5 else NOW - (n // 3) * 43_200 for n in listed("since")]
        assert since == sorted(since)

        def rank(n: int) -> int:
            if n % 11 == 3:
                return 4
            return 0 if n % 12 in (0, 2) else 1 if n % 6 in (0, 1) else 3 if n % 6 == 5 else 2

        ranks = [rank(n) for n in listed("state")]
        assert ranks == sorted(ranks)
        assert set(ranks) == {0, 1, 2, 3, 4}


def test_counts(untouched: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with untouched.read() as conn:

        def count(wanted: WantedDevices) -> tuple[int, bool] | None:
            return device_pages.find(conn, wanted._replace(now=NOW), 1, counted=True).counted

        for name, (wanted, fits) in WANTED.items():
            assert count(wanted) == (sum(map(fits, range(COUNT))), False), name
        monkeypatch.setattr(device_pages, "MANY_TIMES", -1)  # each word is one that very many have
        for name, (wanted, fits) in WANTED.items():
            assert count(wanted) == (sum(map(fits, range(COUNT))), False), name
        monkeypatch.setattr(device_pages, "FIRST_DEVICES", 5)
        monkeypatch.setattr(device_pages, "MORE_DEVICES", 5)
        first = sum("浴室" in known(n).name for n in sorted(range(COUNT), key=imei)[:11])
        found = count(WantedDevices(text="浴室"))
        assert found == ((first, True) if conn.dialect.name == "postgresql" else (7, False))
        monkeypatch.undo()
        monkeypatch.setattr(device_filters, "MAX_DEVICES", 10)
        monkeypatch.setattr(device_pages, "MAX_DEVICES", 10)
        assert count(WantedDevices(online=False)) == (10, True)
        assert count(WantedDevices(site="North")) == (10, True)
        assert count(WantedDevices(text="浴室")) == (7, False)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sort=st.sampled_from(SORTS),
    down=st.booleans(),
    size=st.integers(1, 9),
    name=st.sampled_from(sorted(WANTED)),
    moves=st.lists(st.integers(0, COUNT - 1), max_size=4, unique=True),
)
def test_a_device_that_moves_misses_no_other(
    filled: Database, sort: str, down: bool, size: int, name: str, moves: list[int]
) -> None:
    """Between pages some devices come and go: every other one comes exactly once."""
    wanted, fits = WANTED[name]
    wanted = wanted._replace(now=NOW)
    moving = {imei(n) for n in moves}
    seen: list[Imei] = []
    after: str | None = None
    left = list(moves)
    while True:
        with filled.read() as conn:
            page = device_pages.find(conn, wanted, size, sort=sort, down=down, after=after)
        seen += [row.device.imei for row in page.rows if row.device.imei not in moving]
        if left:
            with filled.write() as conn:
                conn.execute(
                    text(
                        "UPDATE presence SET online = NOT online, since = :at WHERE imei = :imei"
                    ),
                    {"at": NOW + len(left), "imei": imei(left.pop())},
                )
        if (after := page.next) is None:
            break
    expected = {imei(n) for n in range(COUNT) if fits(n)} - moving
    touched = name in ("online", "offline", "away", "never seen", "seen", "several", "contrary")
    if not (moves and touched):
        assert sorted(seen) == sorted(expected)
    assert len(seen) == len(set(seen))
    with filled.write() as conn:  # as they were, for the next example
        for n in moves:
            never = n % 6 == 5
            since = None if never else NOW - (n // 3) * 43_200
            conn.execute(
                text("UPDATE presence SET online = :on, since = :at WHERE imei = :imei"),
                {"on": n % 6 in (0, 1), "at": since, "imei": imei(n)},
            )


@pytest.mark.parametrize(
    ("sort", "given"),
    [("imei", "nobody"), ("imei", f"{imei(1)}:3"), ("id", imei(1)), ("since", f"{imei(1)}:x"),
     ("state", f"{imei(1)}:1"), ("name", imei(1))],
)  # fmt: skip
def test_a_place_of_another_order_is_refused(untouched: Database, sort: str, given: str) -> None:
    with untouched.read() as conn, pytest.raises(CallerError, match=r"^after: "):
        device_pages.find(conn, WantedDevices(), 5, sort=sort, after=given)


def test_words_follow_changes_by_whoever_makes_them(filled: Database) -> None:
    """Also those of other programs: an INSERT OR REPLACE, an UPDATE, a DELETE in SQL."""
    with filled.write() as conn:
        conn.execute(text(f"UPDATE device SET name = '按摩椅' WHERE imei = '{imei(4)}'"))
        conn.execute(text(f"DELETE FROM device WHERE imei = '{imei(8)}'"))
        if filled.dialect == "sqlite":
            conn.execute(
                text(
                    "INSERT OR REPLACE INTO device (imei, id, name) "
                    f"VALUES ('{imei(12)}', {known(12).id}, '按摩床')"
                )
            )
        else:
            conn.execute(text(f"UPDATE device SET name = '按摩床' WHERE imei = '{imei(12)}'"))
    with filled.read() as conn:
        for words, expected in (("按摩", {4, 12}), ("摩椅", {4}), ("按", {4, 12})):
            if filled.dialect == "sqlite":
                assert device_filters._by_words(conn, words, 9)
            rows = device_pages.find(conn, WantedDevices(text=words), 9).rows
            assert {row.device.imei for row in rows} == {imei(n) for n in expected}
        old = device_pages.find(conn, WantedDevices(text=imei(8)), 9).rows
        assert not old
        row = next(iter(device_pages.find(conn, WantedDevices(text=imei(12)), 9).rows))
        assert row.presence["since"] is not None, "what was known of its presence stays"
        assert {row.device.imei for row in device_pages.find(conn, WantedDevices(), 99).rows} == {
            imei(n) for n in range(COUNT) if n != 8
        }
