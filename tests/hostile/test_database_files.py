"""Who reads the database: its owner, at most its group, and nobody a webhook's secret (D30)."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from devgate.store.modes import private
from tests.e2e.harness import Settings, gateway, run

PRIVATE: Settings = {"control": {"private_webhooks": True}}
URL = "http://127.0.0.1:9/hook"


@contextmanager
def umask(bits: int) -> Iterator[None]:
    before = os.umask(bits)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {
        file.name: stat.S_IMODE(file.stat().st_mode)
        for file in folder.iterdir()
        if file.name.startswith("devgate.db")
    }


def secrets(database: Path) -> dict[str, str]:
    with closing(sqlite3.connect(database)) as conn:
        return dict(conn.execute("select name, secret from webhook"))


@pytest.mark.parametrize("bits", [0o000, 0o022])
def test_nobody_else_can_read_the_database(bits: int) -> None:
    """M1, D30: with the usual umask it was 0644, with -wal and -shm, and so was the key's file."""
    with umask(bits), gateway(PRIVATE) as served:
        served.add_devices([{"imei": "860000000000001"}])
        assert served.cli("webhooks", "add", "shop", URL).returncode == 0
        found = modes(served.folder)
        assert {"devgate.db", "devgate.db-wal", "devgate.db-shm", "devgate.db.key"} <= set(found)
        assert {found[name] for name in found if not name.endswith(".lock")} == {0o600}


def test_the_cli_makes_it_no_wider(tmp_path: Path) -> None:
    """M1: `devgate devices add` may be the first to make it."""
    (tmp_path / "gateway.toml").write_text("")
    with umask(0):
        assert run(tmp_path, "devices", "add", "860000000000001").returncode == 0
    assert modes(tmp_path)["devgate.db"] == 0o600


def test_a_wider_database_is_narrowed_at_start_and_the_log_says_so() -> None:
    """M1: one that an earlier version made."""
    with gateway() as earlier:
        earlier.add_devices([{"imei": "860000000000001"}])
        earlier.terminate()
        for mode, wanted in ((0o644, 0o640), (0o666, 0o640), (0o604, 0o600), (0o640, 0o640)):
            (earlier.folder / "devgate.db").chmod(mode)
            earlier.log_file.unlink()
            earlier.start()
            assert earlier.ask({"type": "devices"})["items"]
            found = modes(earlier.folder)
            assert (found["devgate.db"], found["devgate.db-wal"] & 0o027) == (wanted, 0)
            if mode != wanted:
                earlier.logged("database file narrowed", f"{mode:04o}", f"{wanted:04o}")
            earlier.terminate()


def test_one_that_belongs_to_somebody_else_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """M1: its mode cannot be changed then."""
    file = tmp_path / "devgate.db"
    file.write_bytes(b"")
    file.chmod(0o644)

    def refuse(self: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    private(file)
    assert "may be read by others" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="wants root")
def test_one_that_root_makes_is_the_folders_owners(tmp_path: Path) -> None:
    """M1: or the gateway could not open what `sudo devgate devices add` made."""
    os.chown(tmp_path, 4711, 4712)
    private(tmp_path / "devgate.db")
    made = (tmp_path / "devgate.db").stat()
    assert (made.st_uid, made.st_gid) == (4711, 4712)


def test_secrets_are_encrypted_and_an_old_one_becomes_so() -> None:
    """M1: `su nobody -c "sqlite3 devgate.db 'select secret from webhook'"` printed whsec_..."""
    with gateway(PRIVATE) as served:
        said = served.cli("webhooks", "add", "shop", URL).stdout
        secret = next(word for word in said.split() if word.startswith("whsec_"))
        database = served.folder / "devgate.db"
        kept = secrets(database)["shop"]
        assert kept.startswith("fernet:")
        served.terminate()
        for file in served.folder.glob("devgate.db*"):
            assert secret.encode() not in file.read_bytes(), file.name
        with closing(sqlite3.connect(database)) as conn, conn:  # as an earlier version had it
            conn.execute("update webhook set secret = ?", (secret,))
        served.start()
        assert served.ask({"type": "webhooks"})["items"][0]["state"] == "ok"
        assert secrets(database)["shop"].startswith("fernet:")
        served.logged("webhook secret encrypted", "shop")
        changed = served.cli("webhooks", "edit", "shop", "--new-secret").stdout
        assert secrets(database)["shop"] != kept
        assert changed.count("whsec_") == 1


@pytest.mark.parametrize("harm", ["missing", "wrong", "broken"])
def test_without_its_key_a_webhook_is_told_of_and_the_others_go_on(harm: str) -> None:
    """M1: a database that was restored without its key file."""
    with gateway(PRIVATE) as served:
        assert served.cli("webhooks", "add", "shop", URL).returncode == 0
        served.terminate()
        key = served.folder / "devgate.db.key"
        right = key.read_bytes()
        key.unlink()
        if harm != "missing":
            key.write_bytes(
                b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVoxMjM0NTY=" if harm == "wrong" else b"x"
            )
        with (served.folder / "gateway.toml").open("a") as file:
            file.write(
                f'[[webhook]]\nname = "other"\nurl = "{URL}"\nallow_private = true\n'
                f'secret = "whsec_{"A" * 44}"\n'
            )
        served.start()
        listed = served.ask({"type": "webhooks"})["items"]
        states = {item["name"]: item["state"] for item in listed}
        assert states["shop"] == "unusable"
        assert states.keys() == {"other", "shop"}
        assert states["other"] != "unusable"
        line = served.logged("webhook cannot be used", "shop", str(key))
        assert "fernet:" not in line
        if harm == "missing":  # a new key would lock the restored one out
            refused = served.cli("webhooks", "add", "third", URL)
            assert (refused.returncode, "is missing" in refused.stderr) == (12, True)
            assert not key.exists()
        served.terminate()
        key.write_bytes(right)
        served.start()
        names = {item["name"] for item in served.ask({"type": "webhooks"})["items"]}
        assert names == {"other", "shop"}
