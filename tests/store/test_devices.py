"""Devices: what can be stored, and pages of them."""

from __future__ import annotations

from typing import Any

import pytest

from devgate.errors import CallerError
from devgate.model import MAX_TEXT, Imei
from devgate.store import devices
from devgate.store.device import MAX_ID, Device, checked, filled
from devgate.store.engine import Database
from tests.store.plain import A, B, C

FULL = Device(Imei(A), 7, "Bay 4", "north", "400", "http://x/{id}", "times", 12.5, enabled=False)


def plain(n: int, **fields: Any) -> Device:
    return Device(Imei(f"4{n:014}"), n, **fields)


def test_a_device_comes_back_as_it_was_added(database: Database) -> None:
    with database.write() as conn:
        assert devices.add(conn, FULL) == FULL
        devices.add(conn, Device(Imei(B), 8, phone="", qr=""))
    with database.read() as conn:
        assert devices.get(conn, Imei(A)) == FULL
        assert devices.get(conn, Imei(B)) == Device(Imei(B), 8)
        assert devices.get(conn, Imei(C)) is None
        assert list(devices.all_devices(conn)) == [FULL, Device(Imei(B), 8)]
        assert set(devices.all_devices(conn, ordered=False)) == {FULL, Device(Imei(B), 8)}


def test_taken_imeis_and_ids_are_named(database: Database) -> None:
    with database.write() as conn:
        devices.add(conn, FULL)
    with pytest.raises(CallerError, match=f"imei: the device {A} is there"), database.write() as c:
        devices.add(c, FULL)
    with pytest.raises(CallerError, match=f"id: 7 is the device {A}'s"), database.write() as c:
        devices.add(c, Device(Imei(B), 7))
    with database.write() as conn:
        devices.add(conn, Device(Imei(B), 8))
    with pytest.raises(CallerError, match=f"id: 7 is the device {A}'s"), database.write() as c:
        devices.edit(c, Imei(B), {"id": 7})


def test_ids_are_counted_up(database: Database) -> None:
    with database.write() as conn:
        assert devices.next_id(conn) == 1
        devices.add(conn, FULL)
        assert devices.next_id(conn) == 8
        devices.edit(conn, Imei(A), {"id": MAX_ID})
        with pytest.raises(CallerError, match="none is left"):
            devices.next_id(conn)


def test_an_edit_changes_what_is_given_alone(database: Database) -> None:
    with database.write() as conn:
        devices.add(conn, FULL)
        devices.edit(conn, Imei(A), {"name": "Bay 5", "phone": ""})
        before = devices.revision(conn)
        devices.edit(conn, Imei(A), {"name": "Bay 5"})
        assert devices.revision(conn) == before, "nothing changed, so nobody need look"
        found = devices.get(conn, Imei(A))
    assert found == Device(
        Imei(A), 7, "Bay 5", "north", None, FULL.qr, "times", 12.5, enabled=False
    )
    with pytest.raises(CallerError) as unknown, database.write() as conn:
        devices.edit(conn, Imei(B), {"name": "x"})
    assert unknown.value.status == "300"


def test_devices_are_removed_all_or_none(database: Database) -> None:
    with database.write() as conn:
        devices.add(conn, FULL)
    with pytest.raises(CallerError, match=B) as unknown, database.write() as conn:
        devices.remove(conn, [Imei(A), Imei(B)])
    assert unknown.value.status == "300"
    with database.write() as conn:
        assert len(list(devices.all_devices(conn))) == 1
        devices.remove(conn, [Imei(A)])
        assert len(list(devices.all_devices(conn))) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", -1), ("id", MAX_ID + 1), ("id", True), ("unit", "hours"),
        ("name", "x" * 201), ("name", "a\nb"), ("site", "\x1b[2J"), ("phone", "4\x00"),
        ("phone", "5" * (MAX_TEXT + 1)), ("qr", "二" * 326), ("qr", "{imei}" * 70),
        ("qr", "\ud800"), ("qr", "x" * 974 + "{id}"), ("qr", "a\x07"),
    ],
)  # fmt: skip
def test_what_cannot_be_stored_is_named(field: str, value: object) -> None:
    fields: dict[str, Any] = {"id": 1, field: value}
    with pytest.raises(CallerError, match=f"^{field}: ") as err:
        checked(Device(Imei(A), **fields))
    assert err.value.status == "400"


def test_the_longest_texts_fit() -> None:
    checked(Device(Imei(A), 1, "名" * 200, "\u3000", "5" * MAX_TEXT, "{imei}" * 65 + "\n"))
    assert filled("{id}/{imei}/{x}", A, 16) == f"16/{A}/{{x}}"
