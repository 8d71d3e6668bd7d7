"""The PostgreSQL side of a move, asked by two processes at once."""

from __future__ import annotations

import threading

import psycopg
import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import make_url

from devgate.store.engine import Database
from devgate.store.engines import make_engine
from devgate.store.migrating import version_of
from devgate.store.moves import target
from devgate.store.schema import SCHEMA
from tests.e2e.caller import eventually
from tests.stores import with_tables


@pytest.mark.parametrize(("looks_first", "lock"), [(False, True), (True, True), (False, False)])
def test_a_move_may_be_completed_while_another_process_asks_for_its_state(
    postgres_url: str, looks_first: bool, lock: bool
) -> None:
    """`db move` ended with an error, though the gateway had gone over, if it looked then. If it
    looked while the gateway caught up, PostgreSQL ended one of the two: they waited for each
    other."""
    database = Database(make_engine(with_tables(postgres_url)))
    with database.write() as conn:
        target.begin(conn, "id", "file", "host")

    def look() -> None:
        with database.write() as other:
            pids.append(other.scalar(select(func.pg_backend_pid())))
            found.append(target.state(other, lock=lock))
            other.execute(select(1))  # the transaction goes on
            found.append(version_of(other))

    found: list[object] = []
    pids: list[object] = []
    looks = threading.Thread(target=look)
    with database.write() as conn:
        assert target.state(conn, lock=True) is not None
        if not looks_first:
            target.complete(conn, None)
        looks.start()
        eventually(lambda: waits_for_a_lock(postgres_url, pids), bool)
        if looks_first:
            target.complete(conn, None)
    looks.join()
    database.close()
    assert found == [None, SCHEMA]


def waits_for_a_lock(url: str, pids: list[object]) -> bool:
    where = make_url(url.replace("\\", "")).render_as_string(hide_password=False)
    with psycopg.connect(where) as conn:
        row = conn.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = ANY(%s)", [pids]
        ).fetchone()
    return row is not None and row[0] > 0
