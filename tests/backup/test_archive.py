"""PostgreSQL's archive of its log gives every moment back, as docs/manual.md says."""

from __future__ import annotations

import time

import psycopg
import pytest

from tests.e2e.caller import Robot, knowing
from tests.e2e.device import WAIT_SECONDS
from tests.postgres import binaries, running

IMEI = "860000000000001"
COPIED, ARCHIVED, ALL = 40, 80, 100  # orders: in the copy, in the archive, of the gateway


def start(number: int) -> dict[str, object]:
    return {"type": "start", "imei": IMEI, "long": 5, "key": f"order-{number}"}


@pytest.mark.slow
@pytest.mark.skipif(binaries() is None, reason="no PostgreSQL")
@pytest.mark.parametrize("readable", [False, True], ids=["lost", "readable"])
def test_what_was_archived_is_restored(readable: bool) -> None:
    """The copy has the first orders, the archive the next ones, and the last ones are lost, but
    for a disk that can still be read."""
    programs = binaries()
    assert programs is not None
    with running(programs, settings={"archive_mode": "on"}) as server:
        archive, base = server.data.with_name("archive"), server.data.with_name("base")
        archive.mkdir()
        archive.chmod(0o777)
        command = f"test ! -f {archive}/%f && cp %p {archive}/%f"
        server.configure("archive_command", command.replace("'", "''"))
        store = server.create_database()
        with knowing({}, store=store) as served:
            with Robot(served, IMEI) as device:
                for number in range(ALL):
                    if number == COPIED:
                        server.base_backup(base)
                    if number == ARCHIVED:
                        _switch(server.url())
                    assert served.ask(start(number))["status"] == "200"
                assert len(device.seen) == ALL
            served.kill()
            server.kill()
            server.restore(base, archive, readable=readable)
            done = served.cli("quarantine", "begin", "--yes")
            assert done.returncode == 0, done.stderr
            done = served.cli("check")
            assert done.returncode == 0, done.stdout + done.stderr
            served.start()
            with Robot(served, IMEI) as device:
                answers = [served.ask(start(number))["status"] for number in range(ALL)]
                known = ALL if readable else ARCHIVED
                assert answers == ["200"] * known + ["423"] * (ALL - known)
                assert device.seen == [], "and none was started twice"


def _switch(url: str) -> None:
    """Let the log of now be archived: archive_timeout does so by itself."""
    ends = time.monotonic() + WAIT_SECONDS
    with psycopg.connect(url, autocommit=True) as conn:
        row = conn.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
        assert row is not None
        while True:
            done = conn.execute("SELECT last_archived_wal FROM pg_stat_archiver").fetchone()
            if done is not None and done[0] is not None and done[0] >= row[0]:
                return
            assert time.monotonic() < ends, "the log is not archived"
            time.sleep(0.02)
