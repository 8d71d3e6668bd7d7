"""`devgate db move` with no gateway running: what SQLite had is PostgreSQL's, and the old file
starts nothing more."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select, text

from devgate.cli.main import cli
from devgate.errors import SetupError
from devgate.store.mover import move
from devgate.store.moves.tables import TABLES
from devgate.store.opening import open_database
from tests.e2e.caller import Robot, knowing
from tests.stores import with_tables

IMEI = "860000000000001"
CHINESE = "\u5317\u7ad9 \\ \t \u00e9"


def start(key: str, **more: object) -> dict[str, object]:
    return {"type": "start", "imei": IMEI, "long": 5, "key": key, **more}


def test_history_and_keys_come_with_it(postgres_url: str) -> None:
    with knowing({}) as served:
        old = (served.folder / "gateway.toml").read_text()
        assert served.cli("devices", "edit", IMEI, "--name", CHINESE[:2]).returncode == 0
        with Robot(served, IMEI) as device:
            first = served.ask(start("order-1"))
            device.status = "201"
            assert served.ask(start("order-2"))["status"] == "201"
        waits = served.ask(start("order-3", wait=False, expires=3600))
        assert served.cli("webhooks", "add", "shop", "https://shop.example/x").returncode == 0
        events = served.ask({"type": "events", "limit": 1000})["items"]
        served.terminate()
        done = served.cli("db", "move", postgres_url, "--yes")
        assert done.returncode == 0, done.stderr
        assert "devgate.db.key" in done.stdout, "it opens the webhook's secret"
        key_file = f'key_file = "{served.folder}/devgate.db.key"\n'
        new = old.replace("sqlite:///devgate.db", postgres_url.replace("\\", ""))
        (served.folder / "gateway.toml").write_text(new + key_file)
        served.start()
        told = served.ask({"type": "events", "limit": 1000})["items"]
        assert told[: len(events)] == events
        with Robot(served, IMEI) as device:
            assert served.ask(start("order-1"))["command"] == first["command"]
            assert served.ask(start("order-2"))["status"] == "201"
            assert served.ask(start("order-3"))["command"] == waits["command"]
            assert device.seen == ["QD5"], "only what waited"
        assert [one["name"] for one in served.ask({"type": "webhooks"})["items"]] == ["shop"]
        assert served.cli("check").returncode == 0
        served.terminate()
        (served.folder / "gateway.toml").write_text(old)
        served.start()
        refused_start = served.ask(start("order-4"))
        assert (refused_start["status"], refused_start["outcome"]) == ("503", "refused")
        assert "this database was moved to postgresql" in refused_start["message"]


def test_every_row_and_value_is_the_same(sqlite_url: str, postgres_url: str) -> None:
    old = open_database(with_tables(sqlite_url))
    with old.write() as conn:
        conn.exec_driver_sql(
            "INSERT INTO device (imei, id, name, site, enabled, ack_timeout) VALUES (?, 7, ?, ?, "
            "0, 2.5)", (IMEI, CHINESE, "x\ny"),
        )  # fmt: skip
        conn.exec_driver_sql(
            "INSERT INTO command (id, imei, type, status, state, message, source, accepted_at, "
            "sequence, late, spent) VALUES ('01', ?, 'start', '408', 'ended', '', 's', 0.1, ?, 1, "
            "?)", (IMEI, 1 << 40, CHINESE),
        )  # fmt: skip
        conn.exec_driver_sql(
            "INSERT INTO event (n, at, type) VALUES (1, 1750000000.123456, 'x'), (2, 2e9, 'y')"
        )
        conn.exec_driver_sql("UPDATE presence SET online = 1, heard = 0.25")
    with old.read() as conn:
        rows = {one.name: set(map(tuple, conn.execute(select(one)))) for one in TABLES}
    old.close()
    counts = move(sqlite_url, postgres_url)
    new = open_database(postgres_url)
    with new.read() as conn:
        for one in TABLES:
            assert set(map(tuple, conn.execute(select(one)))) == rows[one.name], one.name
            assert counts[one.name] == len(rows[one.name])
    with new.write() as conn:  # its triggers and indexes are there
        conn.execute(text("UPDATE device SET name = 'new'"))
        assert conn.scalar(text("SELECT revision FROM device")) > 0
        assert conn.scalar(
            text("SELECT count(*) FROM pg_indexes WHERE indexname = 'device_words'")
        )
    new.close()


def test_the_other_database_is_looked_at_before_anybody_is_asked(
    sqlite_url: str, postgres_url: str, tmp_path: Path
) -> None:
    """Without --yes nobody can be asked here, which is said only where the move could begin."""
    open_database(with_tables(sqlite_url)).close()
    (tmp_path / "gateway.toml").write_text(f'[store]\nurl = "{sqlite_url}"\n')

    def said(url: str, code: int = 2) -> str:
        done = CliRunner().invoke(cli, ["--config", f"{tmp_path}/gateway.toml", "db", "move", url])
        assert done.exit_code == code
        return done.stderr

    assert "Without a terminal only with --yes; nothing was done" in said(postgres_url)
    assert "cannot be opened" in said("postgresql://devgate@127.0.0.1:1/devgate", 12)
    assert "URL is postgresql://..." in said(sqlite_url)
    new = open_database(with_tables(postgres_url))
    with new.write() as conn:
        conn.execute(text(f"INSERT INTO device (imei, id) VALUES ('{IMEI}', 1)"))
    new.close()
    assert "has rows in the table device" in said(postgres_url)


def test_only_into_an_empty_one(sqlite_url: str, postgres_url: str, tmp_path: Path) -> None:
    open_database(with_tables(sqlite_url)).close()
    new = open_database(with_tables(postgres_url))
    with new.write() as conn:
        conn.execute(text(f"INSERT INTO device (imei, id) VALUES ('{IMEI}', 1)"))
    new.close()
    with pytest.raises(SetupError, match="has rows in the table device"):
        move(sqlite_url, postgres_url)
    with pytest.raises(SetupError, match="has to name the SQLite database"):
        move(postgres_url, sqlite_url)
    old = open_database(sqlite_url)
    with old.read() as conn:
        assert conn.scalar(text("SELECT lost FROM owner")) is None
    old.close()
