"""The record of a machine: what is taken, what is refused, and where it is looked for."""

from __future__ import annotations

import re

import pytest

from devgate.errors import CallerError
from devgate.gateway.known.directory import Directory
from devgate.model import Imei
from devgate.store import device_pages, devices
from devgate.store.csv_import import Imported
from devgate.store.device import RECORD, Device
from devgate.store.device_filters import WantedDevices
from devgate.store.engine import Database
from devgate.store.machine_record import MAX_TAGS, checked_record, tagged
from tests.store.files import export, stored, take
from tests.store.plain import A, B, C

FULL = Device(
    Imei(A), 16, "Bay 4", "north", iccid="8986001234567890123F", sim_phone="+86 1064 0000",
    model="MC-4", firmware="2.1", serial="S-417", installed_on="2026-02-28",
    note='left of the\nlift, "old"', tags="indoor,leather", latitude=-31.2304, longitude=121.5,
)  # fmt: skip


def test_a_file_brings_it_and_an_export_gives_it_back(database: Database) -> None:
    text = (
        "imei,id,name,site,iccid,sim_phone,model,firmware,serial,installed_on,note,tags,latitude,"
        f"longitude\n{A},16,Bay 4,north,8986001234567890123F,+86 1064 0000,MC-4,2.1,S-417,"
        '2026-02-28,"left of the\nlift, ""old""","leather, indoor,,leather",-31.2304,121.5\n'
        f"{B},17,,,,,,,,,,,,\n"
    )
    assert take(database, text) == Imported(added=2)
    assert stored(database) == [FULL, Device(Imei(B), 17)]
    again = export(database)
    assert take(database, again, "update") == Imported(skipped=2)
    # A file says what it has columns for, and nothing else.
    assert take(database, f"imei,model\n{A},MC-5\n", "update") == Imported(updated=1)
    assert take(database, f"imei,note,tags\n{A},,\n", "update") == Imported(updated=1)
    assert stored(database)[0] == FULL._replace(model="MC-5", note=None, tags=None)


@pytest.mark.parametrize(
    ("column", "value", "error"),
    [
        ("iccid", "8.9860E+19", "iccid: 18 to 22 digits expected, not '8.9860E+19'"),
        ("sim_phone", "none", "sim_phone: a telephone number expected"),
        ("model", "x" * 65, "model: at most 64 characters expected, not 65"),
        ("serial", "a\u202eb", "serial: a text without '\\u202e' expected"),
        ("installed_on", "28.2.2026", "installed_on: a day such as 2026-11-24 expected"),
        ("installed_on", "2026-02-30", "installed_on: a day such as 2026-11-24 expected"),
        ("note", "x" * 501, "note: at most 500 characters"),
        ("tags", '"' + ",".join(map(str, range(21))) + '"', "tags: at most 20 tags expected"),
        ("tags", "x" * 41, "tags: tags of at most 40 characters expected"),
        ("latitude", "31°N", "latitude: degrees such as 31.2304 expected"),
        ("latitude", "31", "longitude: a number expected, for latitude is given"),
        ("longitude", "181", "longitude: degrees from -180 to 180 expected, not 181"),
    ],
)
def test_what_cannot_be_is_named_with_its_line(
    database: Database, column: str, value: str, error: str
) -> None:
    with pytest.raises(CallerError, match=re.escape(f"line 2: {error}")):
        take(database, f"imei,{column}\n{A},{value}\n")
    assert stored(database) == []


def test_tags_come_and_go_and_machines_are_found(database: Database) -> None:
    with database.write() as conn:
        for device in (FULL, Device(Imei(B), 17, tags="in_door"), Device(Imei(C), 18)):
            devices.add(conn, device)
        old: dict[Imei, Device] = {}
        found = devices.edit_all(
            conn, [Imei(A), Imei(C)], {"tag": "new,hall", "untag": "leather"}, old
        )
        assert [one.tags for one in found] == ["hall,indoor,new", "hall,new"]
        assert old[Imei(A)].tags == "indoor,leather"
        [bare] = devices.edit_all(conn, [Imei(C)], {"untag": "hall,new,never"})
        assert bare.tags is None
        with pytest.raises(CallerError, match="longitude: a number expected"):
            devices.edit(conn, Imei(A), {"longitude": None})

    def listed(**wanted: str) -> list[str]:
        page = device_pages.find(conn, WantedDevices(**wanted), 10, counted=True)  # type: ignore[arg-type]
        assert page.counted == (len(page.rows), False)
        return [row.device.imei for row in page.rows]

    with database.read() as conn:
        assert listed(model="MC-4") == listed(tag="indoor") == [A]
        assert listed(tag="in_door") == [B], "an underscore is no wildcard"
        assert listed(tag="door") == listed(model="MC") == []
        for words in ("S-417", "8986001234567890123F"):
            assert [one.imei for one in devices.by_record(conn, words, 10)] == [A]
        # Lists and the gateway's memory are without it.
        assert device_pages.find(conn, WantedDevices(model="MC-4"), 1).rows[0].device.note is None
        [loaded, *_] = devices.all_devices(conn, ordered=False)
        assert [getattr(loaded, name) for name in RECORD] == [None] * len(RECORD)
    one, other = Directory(), Directory()
    one.put(FULL)
    other.put(Device(FULL.imei, FULL.id, FULL.name, FULL.site))
    assert one.entry(Imei(A)) == other.entry(Imei(A))


def test_words_of_any_script_are_stored() -> None:
    """A wide blank, and characters that join others, are no control characters."""
    words = {"note": "一楼\u3000电梯左侧 👩\u200d🔧", "tags": "نمی\u200cشود", "model": "क्\u200dष"}
    assert checked_record({**dict.fromkeys(RECORD), **words}) == {
        **dict.fromkeys(RECORD), **words
    }  # fmt: skip
    for wrong in ("a\u2028b", "a\x00b", "a\ud800b"):
        with pytest.raises(CallerError, match=r"^serial: a text without "):
            checked_record({**dict.fromkeys(RECORD), "serial": wrong})


def test_no_more_tags_than_there_is_room_for() -> None:
    many = ",".join(f"{n:02}" for n in range(MAX_TAGS))
    assert tagged(many, "00", None) == many
    with pytest.raises(CallerError, match="at most 20 tags"):
        tagged(many, "99", None)
    assert tagged(many, "99", "00") == many[3:] + ",99"
