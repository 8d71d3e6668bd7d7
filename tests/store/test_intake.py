"""CSV files: what is taken, what is refused with its line, and what a crash leaves."""

from __future__ import annotations

import io
import os

import pytest

from devgate.errors import CallerError
from devgate.model import Imei
from devgate.store import csv_import, devices
from devgate.store.csv_import import Imported
from devgate.store.csv_plan import OnConflict
from devgate.store.device import COLUMNS, Device
from devgate.store.engine import Database
from devgate.store.opening import open_database
from tests.store.files import export, file_of, stored, take
from tests.store.plain import A, B, C
from tests.stores import with_tables


def test_columns_may_stand_in_any_order(database: Database) -> None:
    text = (
        "\ufeffunit, Enabled ,imei,qr,phone,site,name,id\r\n"
        f'times,no, {A} ,"http://x/{{id}}?a=1,2",400,north,"Bay ""4""",16\r\n'
        "\r\n"
        f",,{B},,,,,\r\n"
    )
    assert take(database, text) == Imported(added=2)
    assert stored(database) == [
        Device(
            Imei(A), 16, 'Bay "4"', "north", "400", "http://x/{id}?a=1,2", "times", enabled=False
        ),
        Device(Imei(B), 17),
    ]


def test_ids_are_counted_up_past_all_that_are_given(database: Database) -> None:
    take(database, f"imei,id\n{A},\n{B},1\n{C},5\n")
    assert [(d.imei, d.id) for d in stored(database)] == [(A, 6), (B, 1), (C, 5)]
    take(database, "imei\n500000000000000\n")
    assert stored(database)[-1].id == 7


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "line 1: a header expected"),
        ("id,name\n", "line 1: the column imei is missing"),
        ("imei,color\n", "line 1: unknown column 'color'"),
        ("imei;id\n", "line 1: there are semicolons between the columns"),
        ("imei\tid\n", "line 1: there are tabs between the columns"),
        ("imei,nmae\n", "line 1: unknown column 'nmae'; did you mean name?"),
        ("imei,id,imei\n", "line 1: the column imei is there twice"),
        (f"imei\n{A}\n12345678901234\n", "line 3: imei: a string of 15 digits"),
        (f"imei\n{A}\n\n1.23457E+14\n", "line 4: imei: a string of 15 digits"),
        (f"imei\n{A}\n{B}\n{A}\n", f"line 4: imei: {A} is on line 2 already"),
        (f"imei,id\n{A},1\n{B},2\n{C},1\n", "line 4: id: 1 is on line 2 already"),
        (f"imei,id\n{A},x\n", "line 2: id: a number expected, not 'x'"),
        (f"imei,id\n{A},-1\n", "line 2: id: a number expected, not '-1'"),
        (f"imei,id\n{A},9999999999999999\n", "line 2: id: a number from 0 to 2147483647"),
        (f"imei,unit\n{A},hours\n", "line 2: unit: seconds or times expected, not 'hours'"),
        (f"imei,enabled\n{A},maybe\n", "line 2: enabled: true or false expected"),
        (f"imei,name\n{A}\n", "line 2: 2 columns expected, as in the header, not 1"),
        (f"imei\n{A},x\n", "line 2: 1 columns expected, as in the header, not 2"),
        (f'imei,name\n{A},"a\nb"\n', "line 2: name: a text without '\\\\n' expected"),
        (f'imei,qr\n{A},"a\nb"\n{B},\x00\n', "line 4: qr: a text without '\\\\x00' expected"),
        (f"imei,phone\n{A},{'5' * 977}\n", "line 2: phone: at most 976 bytes"),
        (f"imei,qr\n{A},{'x' * 967}{{id}}\n", "line 2: qr: at most 976 bytes"),
        (f'imei,name\n{A},"x\n', "line 2: not CSV: unexpected end of data"),
        (f'imei,name\n{A},"x"y\n', "line 2: not CSV"),
        (f"imei\n{A}\n{'x' * 70000}\n", "line 3: longer than 65536 bytes"),
        (b"imei,name\n" + A.encode() + b",\xff\n", "line 2: not UTF-8 .byte 0xff"),
        ("imei\n".encode("utf-16"), "line 1: not UTF-8"),
    ],
)
def test_an_error_names_its_line(sqlite_url: str, text: str | bytes, error: str) -> None:
    database = open_database(with_tables(sqlite_url))
    with pytest.raises(CallerError, match=f"^{error}") as err:
        take(database, text)
    assert err.value.status == "400"
    assert stored(database) == [], "nothing of the file is taken"
    database.close()


def test_doubles_are_found_far_apart(sqlite_url: str) -> None:
    database = open_database(with_tables(sqlite_url))
    lines = [f"6{n:014}" for n in range(5000)]
    with pytest.raises(CallerError, match=f"line 5002: imei: {lines[0]} is on line 2 already"):
        take(database, "\n".join(["imei", *lines, lines[0]]))
    assert stored(database) == []
    database.close()


@pytest.fixture
def known(database: Database) -> Database:
    take(database, f"imei,id,name,site\n{A},1,old,north\n{B},2,same,\n")
    return database


NEW = f"imei,name\n{C},new\n{B},same\n{A},changed\n"


def test_conflict_fail_takes_nothing(known: Database) -> None:
    before = stored(known)
    with pytest.raises(CallerError, match=f"line 4: imei: {A} is there already, and not the same"):
        take(known, NEW)
    assert stored(known) == before


def test_conflict_fail_passes_over_equal_ones(known: Database) -> None:
    text = export(known)
    assert take(known, text + f"{C}{',' * (len(COLUMNS) - 1)}\n") == Imported(added=1, skipped=2)
    assert take(known, text) == Imported(skipped=2)


def test_conflict_skip_leaves_them(known: Database) -> None:
    before = stored(known)
    assert take(known, NEW, "skip") == Imported(added=1, skipped=2)
    assert stored(known) == [*before, Device(Imei(C), 3, "new")]


def test_conflict_update_changes_the_columns_of_the_file(known: Database) -> None:
    assert take(known, NEW, "update") == Imported(added=1, updated=1, skipped=1)
    assert stored(known) == [
        Device(Imei(A), 1, "changed", "north"),
        Device(Imei(B), 2, "same"),
        Device(Imei(C), 3, "new"),
    ]
    take(known, f"imei,id,site\n{A},9,\n", "update")
    assert stored(known)[0] == Device(Imei(A), 9, "changed")


@pytest.mark.parametrize("on_conflict", ["fail", "skip", "update"])
def test_a_number_of_another_device_is_refused(known: Database, on_conflict: OnConflict) -> None:
    before = stored(known)
    with pytest.raises(CallerError, match=f"line 3: id: 2 is the device {B}'s"):
        take(known, f"imei,id\n500000000000000,3\n{C},2\n", on_conflict)
    assert stored(known) == before


def test_an_update_must_fit_with_what_stays(known: Database) -> None:
    with known.write() as conn:
        devices.edit(conn, Imei(A), {"qr": "x" * 970 + "{id}"})
    with pytest.raises(CallerError, match="line 2: qr: at most 976 bytes"):
        take(known, f"imei,id\n{A},1234567\n", "update")


def test_a_large_file_is_written_in_many_transactions(database: Database) -> None:
    steps: list[tuple[str, int, int]] = []
    data = file_of(3000)
    csv_import.import_csv(database, io.BytesIO(data), progress=lambda *step: steps.append(step))
    found = stored(database)
    assert len({d.id for d in found}) == len(found) == 3000
    assert all(d.id == int(d.imei[1:]) for d in found if int(d.imei[1:]) % 3)
    assert [step for step in steps if step[0] == "reading"][-1] == (
        "reading",
        len(data),
        len(data),
    )
    writing = [step for step in steps if step[0] == "writing"]
    assert writing[-1] == ("writing", 3000, 3000)
    assert len(writing) >= 3


def test_a_pipe_will_do(database: Database) -> None:
    source, sink = os.pipe()
    with open(source, "rb") as reader:
        with open(sink, "wb") as writer:
            writer.write(f"imei\n{A}\n".encode())
        assert csv_import.import_csv(database, reader) == Imported(added=1)
