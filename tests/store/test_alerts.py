"""What rules look for, what fires and what was sent, on both databases."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from ulid import ULID

from devgate.model import Imei
from devgate.store import alert_looks, alerts, devices
from devgate.store.alert_looks import Away, away, online_among, still_away, unresolved_between
from devgate.store.alert_scope import Scope
from devgate.store.device import Device
from devgate.store.engine import Database
from devgate.store.journal import Journal
from tests.store.commands import EPOCH, command_row
from tests.store.test_plans import plans

MINUTE = 60.0
PRESENCE = text("UPDATE presence SET online = :online, since = :since WHERE imei = :imei")


def imei(n: int) -> Imei:
    return Imei(f"86{n:013}")


def presence(database: Database, n: int, since: float | None, online: bool = False) -> None:
    with database.write() as conn:
        conn.execute(PRESENCE, {"imei": imei(n), "online": online, "since": since})


@pytest.fixture
def fleet(database: Database) -> Database:
    """30 devices at three sites, the n-th offline since n minutes behind EPOCH; every tenth is
    online, every seventh disabled, and the last never came."""
    with database.write() as conn:
        for n in range(30):
            devices.add(conn, Device(imei(n), n + 1, f"Chair {n}", f"S{n % 3}", enabled=n % 7 > 0))
    for n in range(29):
        presence(database, n, EPOCH + n * MINUTE, online=n % 10 == 0)
    return database


def numbers(found: Iterable[Away]) -> list[int]:
    return [int(one.imei[2:]) for one in found]


def test_a_scope_is_the_same_in_memory_and_in_a_statement(fleet: Database) -> None:
    """A tag, a site, some sites: by `has`, and by a condition of SQL."""
    with fleet.write() as conn:
        for n, tags in ((1, "vip"), (2, "a_c,vip"), (5, "abc"), (8, "VIP"), (9, None)):
            devices.edit(conn, imei(n), {"tags": tags})
    journal = Journal(fleet)
    journal.commit([
        command_row(f"01K{n:023}", imei=imei(n), status="408", ended_at=EPOCH + n)
        for n in range(12)
    ])  # fmt: skip
    journal.close()
    for scope, right in (
        (Scope(tag="vip"), {1, 2}),
        (Scope(tag="a_c"), {2}),
        (Scope("S2", "vip"), {2}),
        (Scope(sites=frozenset({"S1", "S2"}), tag="vip"), {1, 2}),
        (Scope("S0", sites=frozenset({"S1"})), set()),
        (Scope(sites=frozenset()), set()),
        (Scope(sites=frozenset({"S2"})), {2, 5, 8, 11}),
    ):
        with fleet.read() as conn:
            rows = unresolved_between(conn, EPOCH - 1, EPOCH + 60, scope)
            assert {int(row["imei"][2:]) for row in rows} == right, scope
            passed = away(conn, (EPOCH, ""), EPOCH + 11 * MINUTE, scope)
            assert set(numbers(passed.found)) == right, scope


def test_a_look_passes_each_device_once(fleet: Database) -> None:
    seen: list[int] = []
    place: tuple[float, str] | None = (EPOCH, "")
    with fleet.read() as conn:
        while place is not None:
            passed = away(conn, place, EPOCH + 25 * MINUTE, Scope(), chunk=4)
            assert len(passed.found) <= 4
            seen += numbers(passed.found)
            place = passed.place
    assert seen == [n for n in range(1, 26) if n % 10 and n % 7]


def test_a_look_at_one_site(fleet: Database) -> None:
    with fleet.read() as conn:
        passed = away(conn, (EPOCH + 3 * MINUTE, ""), EPOCH + 12 * MINUTE, Scope("S2"))
    assert passed.place is None
    [first, *_] = passed.found
    assert numbers(passed.found) == [5, 8, 11]
    assert first == Away(imei(5), EPOCH + 5 * MINUTE, 6, "Chair 5", "S2")


def test_who_is_still_away(fleet: Database) -> None:
    presence(fleet, 5, EPOCH + 100 * MINUTE, online=True)
    with fleet.read() as conn:
        assert still_away(conn, [imei(n) for n in (4, 5, 7, 10, 29, 77)]) == {imei(4), imei(29)}
        assert still_away(conn, []) == set()
        assert online_among(conn, [imei(4), imei(5), imei(20)]) == {imei(5), imei(20)}


def test_a_look_goes_by_the_index(fleet: Database) -> None:
    with fleet.write() as conn:
        conn.execute(text("ANALYZE"))
    [plan] = plans(
        fleet, lambda conn: away(conn, (EPOCH, ""), EPOCH + 9 * MINUTE, Scope()), "seqscan"
    )
    lines = "\n".join(plan)
    assert "presence_list" in lines, lines
    if fleet.dialect == "sqlite":
        assert "since>?" in lines or "(since,imei)>(?,?)" in lines, lines


@pytest.mark.parametrize(
    "scope", [Scope("S1"), Scope(sites=frozenset({"S1"})), Scope("S1", tag="vip")]
)
def test_a_look_at_unknown_outcomes_goes_by_their_index(fleet: Database, scope: Scope) -> None:
    """Also without statistics, which SQLite has not got: not by all commands of a site."""
    between = partial(unresolved_between, since=EPOCH, until=EPOCH + 60, scope=scope)
    [plan] = plans(fleet, between, "seqscan")
    lines = "\n".join(plan)
    assert "command_unknown" in lines, lines
    assert "command_device" not in lines, lines


def test_unresolved_outcomes(fleet: Database) -> None:
    journal = Journal(fleet)
    ids = [f"01K{n:023}" for n in range(6)]
    rows = [
        command_row(id, imei=imei(n), key=f"o{n}", status="408", ended_at=EPOCH + n * MINUTE)
        for n, id in enumerate(ids[:4])
    ]
    rows.append(command_row(ids[4], imei=imei(4), type="stop", status="408", ended_at=EPOCH + 1))
    rows.append(command_row(ids[5], imei=imei(5), ended_at=EPOCH + 1))
    journal.commit(rows)
    journal.close()
    with fleet.read() as conn:
        found = unresolved_between(conn, EPOCH, EPOCH + 3 * MINUTE, Scope())
        assert [one["id"] for one in found] == ids[1:4]
        assert (found[0]["key"], found[0]["name"], found[0]["site"]) == ("o1", "Chair 1", "S1")
        found = unresolved_between(conn, EPOCH - 1, EPOCH + 3 * MINUTE, Scope("S0"))
        assert [one["id"] for one in found] == [ids[0], ids[3]]
    with fleet.write() as conn:
        resolve = "UPDATE command SET verdict = 'ran', resolved_status = '408' WHERE id = :id"
        conn.execute(text(resolve), {"id": ids[2]})
    with fleet.read() as conn:
        assert alert_looks.unresolved(conn, ids) == {ids[0], ids[1], ids[3], ids[4]}
        assert alert_looks.unresolved(conn, []) == set()


def firing(n: int, **changed: Any) -> dict[str, Any]:
    row = {
        "rule": f"r{n % 2}", "subject": f"s{n}", "label": f"Chair {n}", "site": "", "since": None,
        "fired_at": EPOCH + n // 3, "told_at": None, "cleared_at": None,
    }  # fmt: skip
    return {**row, **changed}


def test_what_fires_in_pages_the_newest_first(database: Database) -> None:
    with database.write() as conn:
        alerts.save_firing(conn, [firing(n) for n in range(10)], [])
        alerts.save_firing(
            conn, [firing(4, cleared_at=EPOCH), firing(5, told_at=EPOCH)], [("r1", "s7")]
        )
    seen: list[dict[str, Any]] = []
    after: alerts.Key | None = None
    with database.read() as conn:
        assert alerts.firing_count(conn) == 8
        while rows := alerts.firing_page(conn, after, 3):
            seen += rows
            after = (rows[-1]["fired_at"], rows[-1]["rule"], rows[-1]["subject"])
        assert len(alerts.firing(conn)) == 9
    expected = [firing(n) for n in (0, 1, 2, 3, 6, 8, 9)] + [firing(5, told_at=EPOCH)]
    keys = ("fired_at", "rule", "subject")
    assert seen == sorted(expected, key=lambda r: [r[k] for k in keys], reverse=True)
    with database.write() as conn:
        assert not alerts.remove_rule(conn, "r0")  # there is none, and what it found is gone
        assert {row["rule"] for row in alerts.firing(conn)} == {"r1"}


def test_the_newest_messages_are_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "MAX_MESSAGES", 20)
    monkeypatch.setattr(alerts, "TRIM_MESSAGES", 5)
    ids = [str(ULID.from_timestamp(EPOCH + n)) for n in range(30)]

    def row(n: int, **changed: Any) -> dict[str, Any]:
        values = {"id": ids[n], "at": EPOCH + n, "receiver": f"to{n % 2}", "rule": "r"}
        said = {"title": "t", "text": "b", "state": "waiting", "tries": 1, "error": "no"}
        return {**values, **said, **changed}

    for n in range(30):
        with database.write() as conn:
            alerts.log_put(conn, [row(n)])
    with database.write() as conn:
        alerts.log_put(conn, [row(29, state="sent", tries=2, error=None)])
    with database.read() as conn:
        found = alerts.log_page(conn, receiver=None, after=None, limit=100)
        assert 20 <= len(found) <= 25
        assert [one["id"] for one in found] == ids[::-1][: len(found)]
        assert (found[0]["state"], found[0]["tries"], found[0]["error"]) == ("sent", 2, None)
        page = alerts.log_page(conn, receiver="to1", after=ids[25], limit=2)
        assert [one["id"] for one in page] == [ids[23], ids[21]]
