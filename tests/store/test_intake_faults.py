"""An import that is killed, kept waiting, or meddled with; and any file at all."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devgate.errors import CallerError, StoreError
from devgate.model import Imei
from devgate.store import csv_import, devices, engines
from devgate.store import device as device_module
from devgate.store.csv_import import Imported
from devgate.store.csv_rows import read_rows
from devgate.store.device import Device
from devgate.store.engine import Database
from devgate.store.opening import open_database
from tests.store.files import export, file_of, stored, take
from tests.store.plain import A, connect, run
from tests.stores import with_tables

KILLED = """
import io, os, signal, sys
from devgate.store import csv_import
from devgate.store.opening import open_database

def progress(what, done, total):
    if what == "writing" and done > total / 3:
        os.kill(os.getpid(), signal.SIGKILL)

csv_import.import_csv(open_database(sys.argv[1]), sys.stdin.buffer, progress=progress)
"""


def test_an_import_that_was_killed_is_completed_by_running_it_again(
    database: Database, database_url: str
) -> None:
    data = file_of(3000)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, database_url], input=data, check=False, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    there = len(stored(database))
    assert 1000 < there < 3000
    assert take(database, data) == Imported(added=3000 - there, skipped=there)
    assert len({d.id for d in stored(database)}) == 3000
    assert take(database, data) == Imported(skipped=3000)


def test_an_import_waits_for_a_lock(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "LOCK_SECONDS", 0.02)
    database = open_database(with_tables(sqlite_url))
    other = connect(sqlite_url)
    other.execute("BEGIN IMMEDIATE")
    taken: list[Imported] = []
    importing = threading.Thread(target=lambda: taken.append(take(database, f"imei\n{A}\n")))
    importing.start()
    importing.join(0.15)
    assert importing.is_alive(), "it waits longer than a writer's patience"
    other.rollback()
    importing.join()
    assert taken == [Imported(added=1)]
    other.close()
    database.close()


def test_an_import_gives_up_and_says_how_far_it_came(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "LOCK_SECONDS", 0.02)
    monkeypatch.setattr(csv_import, "LOCK_SECONDS", 0.0)
    database = open_database(with_tables(database_url))
    other = connect(database_url)
    held = False

    def lock(what: str, done: int, total: int) -> None:
        nonlocal held
        if what == "writing" and not held:
            held = True
            other.execute("BEGIN IMMEDIATE" if database.dialect == "sqlite" else "LOCK revision")

    with pytest.raises(StoreError, match=r"locked .*; 200 of 1000 rows are in: run the same"):
        csv_import.import_csv(database, io.BytesIO(file_of(1000)), progress=lock)
    other.rollback()
    other.close()
    assert take(database, file_of(1000)) == Imported(added=800, skipped=200)
    database.close()


def test_a_device_that_somebody_adds_meanwhile_is_no_bug_of_ours(
    database: Database, database_url: str
) -> None:
    added = False

    def meddle(what: str, done: int, total: int) -> None:
        nonlocal added
        if what == "writing" and not added:
            added = True
            other = "INSERT INTO device (imei, id) VALUES ('700000000009999', 1000000)"
            run(database_url, other)

    data = file_of(400) + b"700000000009999,,theirs\n"
    with pytest.raises(CallerError, match=r"line 402: .*; another program .* \d+ of 401"):
        csv_import.import_csv(database, io.BytesIO(data), progress=meddle)


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
qrs = st.text(
    st.characters(exclude_categories=["Cs"], include_characters="\r\n\t\",'{}"), max_size=20
)


@st.composite
def fleets(draw: st.DrawFn) -> list[Device]:
    imeis = draw(st.lists(st.integers(0, 10**15 - 1), max_size=8, unique=True))
    ids = draw(
        st.lists(
            st.integers(0, device_module.MAX_ID),
            min_size=len(imeis), max_size=len(imeis), unique=True,
        )
    )  # fmt: skip
    found = []
    for imei, id in zip(imeis, ids, strict=True):
        fields: dict[str, Any] = {
            "name": draw(texts), "site": draw(texts), "phone": draw(st.none() | texts),
            "qr": draw(st.none() | qrs), "unit": draw(st.sampled_from(["seconds", "times"])),
            "ack_timeout": draw(st.none() | st.floats(0.001, 300).map(lambda s: round(s, 6))),
            "enabled": draw(st.booleans()),
        }  # fmt: skip
        try:
            found.append(device_module.checked(Device(Imei(f"{imei:015}"), id, **fields)))
        except CallerError:
            continue
    return sorted(found, key=lambda d: d.imei)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fleets())
def test_an_export_imports_again_unchanged(database: Database, fleet: list[Device]) -> None:
    def clear() -> None:
        with database.write() as conn:
            devices.remove(conn, [d.imei for d in devices.all_devices(conn)])

    clear()
    with database.write() as conn:
        devices.insert_all(conn, fleet)
    text = export(database)
    assert take(database, text) == Imported(skipped=len(fleet))
    clear()
    assert take(database, text) == Imported(added=len(fleet))
    assert stored(database) == fleet
    assert export(database) == text


@given(
    st.binary(max_size=200) | st.text("0123456789,\"\n\r\x00imedna'", max_size=200).map(str.encode)
)
def test_any_bytes_are_rows_or_an_error_with_a_line(data: bytes) -> None:
    try:
        columns, rows = read_rows(io.BytesIO(b"imei,name\n" + data))
        assert columns == {"imei", "name"}
        lines = [row.line for row in rows]
        assert lines == sorted(lines)
        said = "line"
    except CallerError as err:
        said = str(err)
    assert said.startswith("line")
