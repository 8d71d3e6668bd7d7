"""A database that refuses rows: outcomes stay until they are written; callers learn if not."""

from __future__ import annotations

import contextlib
import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.e2e.caller import Caller, Robot, eventually, knowing, settle
from tests.e2e.device import frame
from tests.e2e.harness import Gateway, Json
from tests.postgres import Postgres

IMEI, OTHER = "860000000000001", "860000000000002"


def start(imei: str, **extra: object) -> Json:
    return {"imei": imei, "type": "start", "long": 500, **extra}


@contextlib.contextmanager
def refusing(served: Gateway) -> Iterator[None]:
    """A trigger that refuses every change of a command."""
    with contextlib.closing(sqlite3.connect(served.folder / "devgate.db", timeout=60)) as database:
        for table, when in (("command", "UPDATE"), ("command", "INSERT")):
            database.execute(
                f"CREATE TRIGGER no_{when} BEFORE {when} ON {table} "
                "BEGIN SELECT raise(abort, 'not today'); END"
            )
        database.commit()
        yield
        database.execute("DROP TRIGGER no_UPDATE")
        database.execute("DROP TRIGGER no_INSERT")
        database.commit()


def outcome_stays(served: Gateway, refused: contextlib.AbstractContextManager[None]) -> None:
    """A start in flight is answered while the database refuses rows; later comes a kill."""
    with served.register(IMEI) as device, Caller(served) as caller, Robot(served, OTHER) as other:
        caller.send(**start(IMEI, key="order-1"))
        device.expect(frame("000", IMEI, "QD", "500"))
        with refused:
            settle(device, IMEI, "QD500")
            reply = caller.line()
            assert reply["status"] == "200"
            assert "not on disk yet" in reply["message"]
            state = served.ask({"type": "status"})["store"]
            assert state != "ok"
            late = served.ask(start(OTHER, key="order-2"))
            assert late["status"] == "503"
            assert state in late["message"]
            assert "nothing was sent" in late["message"]
            assert (late["outcome"], other.seen) == ("refused", [])
            with served.register("860000000000003"):
                pass  # devices are served from memory
        served.until(None, "store", "ok")
        again = served.ask(start(OTHER, key="order-2"))
        assert again["status"] == "200"
        served.kill()
    served.start()
    record = served.ask({"type": "command", "command": reply["command"]})
    assert (record["status"], record["state"], record["late"]) == ("200", "ended", False)
    events = served.ask({"type": "events", "after": 0, "limit": 1000})["items"]
    assert [event["event"] for event in events] == list(range(1, len(events) + 1))
    of_it = [e for e in events if e.get("command") == reply["command"]]
    assert [e["type"] for e in of_it] == ["command.accepted", "command.sent", "command.ended"]


def test_f2_a_trigger_refuses_rows() -> None:
    """F2: 200, but the row was given up and the record said 408; with two events of its end."""
    with knowing({"command": {"ack_timeout": 30}}) as served:
        outcome_stays(served, refusing(served))


def test_f2_a_permission_is_missing(postgres: Postgres, postgres_url: str) -> None:
    """F2, on PostgreSQL: the table belongs to another role for a while."""
    schema = postgres_url.rpartition("%3D")[2]
    with psycopg.connect(postgres.url(), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE plain_{schema} LOGIN")
        admin.execute(f"GRANT ALL ON SCHEMA {schema} TO plain_{schema}")

        @contextlib.contextmanager
        def revoked() -> Iterator[None]:
            admin.execute(f"ALTER TABLE {schema}.command OWNER TO devgate")
            yield
            admin.execute(f"ALTER TABLE {schema}.command OWNER TO plain_{schema}")

        url = postgres_url.replace("//devgate@", f"//plain_{schema}@")
        with knowing({"command": {"ack_timeout": 30}}, store=url) as served:
            outcome_stays(served, revoked())


def test_f2_no_thread_can_be_started() -> None:
    """F2: at the limit of the address space no thread starts; the writer's is there already."""
    with knowing({}) as served, Robot(served, IMEI) as device:
        assert served.process is not None
        eventually(lambda: served.ask({"type": "status"})["store"], lambda store: store == "ok")
        pid = served.process.pid
        size = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
        before = resource.prlimit(pid, resource.RLIMIT_AS)
        resource.prlimit(pid, resource.RLIMIT_AS, (size + (4 << 20), before[1]))
        try:
            replies = [served.ask(start(IMEI)) for _ in range(10)]
        finally:
            resource.prlimit(pid, resource.RLIMIT_AS, before)
        assert {reply["status"] for reply in replies} <= {"200", "503"}
        done = [reply for reply in replies if reply["status"] == "200"]
        assert len(device.seen) == len(done)
        served.kill()
        served.start()
        for reply in done:
            record = served.ask({"type": "command", "command": reply["command"]})
            assert record["status"] == "200"
