"""`devgate backup` and `check` beside a gateway that works, and what they refuse."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from devgate.backup import note as notes
from devgate.backup.check import check_backup, check_database
from devgate.backup.make import back_up, thin_out
from devgate.backup.restore import restore
from devgate.config.settings import Settings
from devgate.doctor import backups, database
from devgate.doctor.finding import Severity
from devgate.errors import SetupError
from devgate.store import pg_programs, webhooks
from devgate.store.engine import Database
from devgate.store.health import look
from devgate.store.opening import open_database
from devgate.store.seal import Seal
from tests.e2e.caller import Robot, knowing
from tests.e2e.harness import Gateway
from tests.stores import with_tables

IMEI = "860000000000001"


@pytest.fixture
def served(database_url: str) -> Iterator[Gateway]:
    store = None if database_url.startswith("sqlite") else database_url
    with knowing({}, store=store) as running:
        yield running


def settings_of(url: str, folder: Path) -> Settings:
    store: dict[str, Any] = {"url": url, "key_file": str(folder / "the.key")}
    return Settings.model_validate({"store": {**store, "backups": str(folder / "copies")}})


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Of a database with a webhook whose secret is encrypted, and a folder for copies."""
    (tmp_path / "copies").mkdir()
    settings = settings_of(with_tables(database_url), tmp_path)
    database = open_database(settings.store.url)
    with database.write() as conn:
        secret = Seal(settings.store.key_file).close("whsec_" + "A" * 32, may_make=True)
        row = {"name": "shop", "url": "https://shop.example/", "secret": secret, "events": ""}
        webhooks.add(conn, {**row, "added_at": 1.0}, "https://shop.example/", 0)
    database.close()
    return settings


def test_a_copy_is_made_while_starts_flow(served: Gateway) -> None:
    """It shows one moment: a start is in it with all of its events, or not at all."""
    over = threading.Event()

    def order() -> None:
        number = 0
        while not over.is_set():
            number += 1
            key = f"order-{number}"
            request = {"type": "start", "imei": IMEI, "long": 5, "key": key}
            assert served.ask(request)["status"] == "200"

    with Robot(served, IMEI):
        caller = threading.Thread(target=order)
        caller.start()
        try:
            done = served.cli("backup", "copy.bin", "--json")
        finally:
            over.set()
            caller.join()
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)
    file = served.folder / "copy.bin"
    for path in (file, notes.path_of(file)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [path for path in served.folder.iterdir() if path.name.endswith(".part")] == []
    assert reply["size"] == file.stat().st_size
    assert reply["newest_event"] <= served.ask({"type": "status"})["last_event"]
    assert served.cli("check", "copy.bin").stdout == "copy.bin is whole\n"
    assert served.cli("check").stdout == "the database is whole\n"
    missing = served.cli("backup", "nowhere", "--keep", "3")
    assert (missing.returncode, "install -d -m 700 nowhere" in missing.stderr) == (2, True)
    assert not (served.folder / "nowhere").exists()
    again = served.cli("backup", "copy.bin")
    assert (again.returncode, "overwrites nothing" in again.stderr) == (2, True)
    flipped = bytearray(file.read_bytes())
    flipped[len(flipped) // 2] ^= 255
    file.write_bytes(flipped)
    broken = served.cli("check", "copy.bin")
    assert (broken.returncode, "SHA-256" in broken.stderr) == (12, True)
    assert "nothing was restored" in served.cli("restore", "copy.bin", "--quarantine").stderr
    refused = served.cli("restore", "copy.bin")
    assert (refused.returncode, "--nothing-newer" in refused.stderr) == (2, True)


def test_a_restore_beside_a_gateway_changes_nothing(served: Gateway) -> None:
    assert served.cli("backup", "copy.bin").returncode == 0
    refused = served.cli("restore", "copy.bin", "--quarantine")
    assert refused.returncode == 2
    words = ("stop it first", "has tables of devgate", "another gateway works")
    assert any(one in refused.stderr for one in words), refused.stderr
    assert served.ask({"type": "status"})["quarantine"] is None


def test_it_names_the_key_file_that_it_needs(settings: Settings) -> None:
    file, note = back_up(settings, Path(settings.store.backups))
    assert (note.facts.sealed, note.key_file) == (1, settings.store.key_file)
    assert note.key == notes.fingerprint(settings.store.key_file)
    assert notes.read(file) == note
    assert list(check_backup(file, settings)) == list(check_database(settings)) == []
    os.unlink(settings.store.key_file)
    Seal(settings.store.key_file).close("another", may_make=True)
    assert "key file" in " ".join(check_backup(file, settings))
    assert "key file" in " ".join(check_database(settings))


def test_a_folder_keeps_the_newest(settings: Settings) -> None:
    folder = Path(settings.store.backups)
    file, note = back_up(settings, folder)
    for day in range(1, 6):
        old = folder / f"devgate-2020010{day}T000000Z.db"
        old.write_bytes(b"x")
        notes.write(old, note)
    (folder / "devgate-other.db").write_bytes(b"no backup of ours: it has no note")
    assert len(thin_out(folder, 3)) == 3
    assert list(notes.in_folder(folder))[-1] == file
    assert len(list(folder.iterdir())) == 3 * 2 + 1


def test_doctor_tells_how_old_the_newest_is(settings: Settings) -> None:
    def found(hours: float = 0.0) -> Severity:
        return max(
            (one.severity for one in backups.examine(settings, None, note.made_at + 3600 * hours)),
            key=lambda severity: list(Severity)[::-1].index(severity),
        )

    assert [one.severity for one in backups.examine(settings, None)] == [Severity.ERROR], "none"
    file, note = back_up(settings, Path(settings.store.backups))
    assert [found(1), found(37), found(8 * 24)] == [
        Severity.OK, Severity.WARNING, Severity.ERROR,
    ]  # fmt: skip
    file.write_bytes(b"cut")
    assert found(1) is Severity.ERROR


def test_doctor_finds_a_key_file_that_is_another_one(settings: Settings) -> None:
    def said() -> str:
        found = database.examine(settings, look(settings.store.url))
        return "; ".join(one.message for one in found)

    key = Path(settings.store.key_file)
    assert "key file" not in said()
    key.write_bytes(Fernet.generate_key())
    assert "is not the one that this secret was encrypted with" in said()
    key.unlink()
    assert "is missing, and secrets were encrypted with it" in said()


def test_what_is_no_backup_is_not_restored(settings: Settings, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"text")
    with pytest.raises(SetupError, match="neither an SQLite database nor a dump"):
        restore(settings, other, held=True)
    empty = tmp_path / "empty.db"
    open_without_tables(empty)
    with pytest.raises(SetupError, match=r"no tables of devgate|is a backup of sqlite"):
        restore(settings, empty, held=True)


def open_without_tables(file: Path) -> None:
    import sqlite3

    conn = sqlite3.connect(file)
    conn.execute("CREATE TABLE x (y)")
    conn.commit()
    conn.close()


def test_the_former_file_stays_beside_sqlite(sqlite_url: str, tmp_path: Path) -> None:
    settings = settings_of(with_tables(sqlite_url), tmp_path)
    file, _ = back_up(settings, tmp_path / "copy.db")
    done = restore(settings, file, held=False)
    assert done.aside is not None
    assert done.aside.exists()
    assert done.waiting == 0
    assert list(check_database(settings)) == []
    left = {path.name for path in tmp_path.iterdir()}
    assert not [name for name in left if name.endswith((".restoring", "-wal", "-shm"))]


def test_nothing_is_written_through_a_link(sqlite_url: str, tmp_path: Path) -> None:
    """Root restores into a folder of the service's user, who may have put links there. A log of an
    earlier restore that was killed would be taken for that of the new file."""
    settings = settings_of(with_tables(sqlite_url), tmp_path)
    others = [tmp_path / "others", tmp_path / "others too"]
    for other in others:
        other.write_text("somebody else's")
    (tmp_path / "copy.db.json").symlink_to(others[0])
    (tmp_path / "devgate.db.restoring").symlink_to(others[1])
    (tmp_path / "devgate.db.restoring-wal").write_bytes(b"of another file" * 1000)
    file, note = back_up(settings, tmp_path / "copy.db")
    assert notes.read(file) == note
    restore(settings, file, held=False)
    assert [other.read_text() for other in others] == ["somebody else's"] * 2
    assert not (tmp_path / "devgate.db").is_symlink()
    assert list(check_database(settings)) == []


def test_a_password_is_no_argument() -> None:
    uri, env = pg_programs.connection("postgresql://me:s3cret@db.example:5433/x?sslmode=require")
    assert "s3cret" not in uri
    assert env == {"PGPASSWORD": "s3cret"}
    assert uri == "postgresql://me@db.example:5433/x?sslmode=require"


def test_a_server_that_is_away_is_told_in_a_sentence(tmp_path: Path) -> None:
    settings = settings_of(f"postgresql://devgate@/devgate?host={tmp_path}", tmp_path)
    with pytest.raises(SetupError, match="cannot be opened: the database server cannot be"):
        back_up(settings, tmp_path / "copy")
    with pytest.raises(SetupError, match="cannot be opened: the database server cannot be"):
        list(check_database(settings))


def test_without_pg_dump_it_says_what_to_do(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(with_tables(postgres_url), tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="pg_dump is not installed here: install it"):
        back_up(settings, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_other_programs_tables_stay_out_of_a_dump(postgres_url: str, tmp_path: Path) -> None:
    settings = settings_of(with_tables(postgres_url), tmp_path)
    database = open_database(postgres_url)
    with database.write() as conn:
        conn.exec_driver_sql('CREATE TABLE "the ""shop" (id int)')
    database.close()
    file, _ = back_up(settings, tmp_path / "copy")
    with pytest.raises(SetupError, match="has tables of devgate"):
        restore(settings, file, held=True)
    database = open_database(postgres_url)
    _drop_all(database)
    database.close()
    assert restore(settings, file, held=True).warnings == ()
    database = open_database(postgres_url)
    with database.read() as conn:
        assert conn.exec_driver_sql('SELECT to_regclass(\'"the ""shop"\')').scalar() is None
    database.close()


def _drop_all(database: Database) -> None:
    with database.write() as conn:
        name = conn.exec_driver_sql("SELECT current_schema()").scalar()
        conn.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
        conn.exec_driver_sql(f"CREATE SCHEMA {name}")
