"""The store that the pictures of docs/ are made of."""

from __future__ import annotations

from pathlib import Path

from past import fill

from devgate.store import device_pages
from devgate.store.device_filters import WantedDevices
from devgate.store.opening import open_database


def test_no_machine_of_a_full_day_was_never_seen(tmp_path: Path) -> None:
    """D32: its lists have since when each one is offline, as its events have it."""
    url = f"sqlite:///{tmp_path / 'past.db'}"
    fill(url, 60, "en")
    database = open_database(url)
    try:
        with database.read() as conn:
            assert not device_pages.find(conn, WantedDevices(seen=False), limit=5).rows
            last = conn.exec_driver_sql(
                "SELECT imei, max(at) FROM event WHERE type = 'device.offline' GROUP BY imei"
            )
            since = conn.exec_driver_sql("SELECT imei, since FROM presence WHERE online = 0")
            assert sorted(map(tuple, since)) == sorted(map(tuple, last))
    finally:
        database.close()
