"""`devgate db move` beside a gateway that runs, which goes over, or goes on as if nothing was."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.e2e.caller import Caller, Robot, eventually, knowing
from tests.e2e.harness import Gateway, Json, Settings, environment
from tests.forked import Forked
from tests.upgrade.harness import refused, upgrade

IMEIS = [f"86000000000000{n}" for n in range(4)]
LOAD: Settings = {"command": {"max_long": 10_000_000}, "log": {"level": "warning"}}


class Mover:
    """`devgate db move`, as an operator runs it in another terminal."""

    def __init__(self, gateway: Gateway, url: str) -> None:
        self.url = url
        self._lines: list[str] = []
        reads, writes = os.pipe()
        self._output = open(reads, encoding="utf-8")  # noqa: SIM115  # close() closes it
        with open(os.devnull) as nothing:
            self.process = Forked(
                ["db", "move", url, "--yes"], gateway.folder, environment(gateway.folder),
                [nothing.fileno(), writes, writes],
            )  # fmt: skip
        os.close(writes)

    def follows(self) -> None:
        """All rows are there, and it follows the gateway."""
        for line in self._output:
            self._lines.append(line)
            if "the copy follows the gateway" in line:
                return
        raise AssertionError(self._lines)

    def end(self) -> str:
        """What it says at its end, which is a good one."""
        out = self.rest()
        assert self.process.returncode == 0, (self._lines, out)
        return out

    def rest(self) -> str:
        """What it still says until it ends."""
        out = self._output.read()
        self.process.wait(60)
        return out

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(60)

    def close(self) -> None:
        self.kill()
        self._output.close()


@contextlib.contextmanager
def moving(gateway: Gateway, url: str) -> Iterator[Mover]:
    mover = Mover(gateway, url)
    try:
        yield mover
    finally:
        mover.close()


class Orders:
    """Starts with keys, one after the other at each device, until the block ends."""

    def __init__(self, gateway: Gateway) -> None:
        self.replies: dict[str, Json] = {}
        self._gateway = gateway
        self._over = threading.Event()
        self._failed: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=[imei]) for imei in IMEIS]

    def __enter__(self) -> Orders:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        assert not self._failed, self._failed

    def _run(self, imei: str) -> None:
        try:
            with Caller(self._gateway) as caller:
                while not self._over.is_set():
                    key = f"{imei}-{len(self.replies)}"
                    # `long` names the order at the device.
                    order = {"imei": imei, "type": "start", "key": key, "long": number_of(key)}
                    self.replies[key] = caller.ask(**order)
                    self._over.wait(0.05)
        except BaseException as err:
            self._failed.append(err)

    def more(self, count: int = 20) -> None:
        """Wait until this many more are done."""
        goal = len(self.replies) + count
        eventually(lambda: self._failed or len(self.replies) >= goal, bool)


def number_of(key: str) -> int:
    imei, _, number = key.partition("-")
    return 1 + IMEIS.index(imei) + len(IMEIS) * int(number)


def configured(gateway: Gateway, url: str) -> str:
    """Let gateway.toml name that database. Returns what it was."""
    path = gateway.folder / "gateway.toml"
    former = path.read_text()
    store = f'url = "{url}"\nkey_file = "{gateway.folder}/devgate.db.key"'
    path.write_text(former.replace('url = "sqlite:///devgate.db"', store))
    return former


def restart(gateway: Gateway) -> None:
    gateway.terminate()
    gateway.start()


@contextlib.contextmanager
def robots(gateway: Gateway) -> Iterator[list[Robot]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Robot(gateway, imei)) for imei in IMEIS]


def all_done_once(gateway: Gateway, orders: Orders, devices: list[Robot]) -> None:
    """Each order was started once, and its key starts nothing more."""
    assert {reply["status"] for reply in orders.replies.values()} == {"200"}
    seen = [(one.imei, word) for one in devices for word in one.seen]
    assert len(seen) == len(set(seen)) == len(orders.replies)
    with Caller(gateway) as caller:
        for key, reply in orders.replies.items():
            imei = key.partition("-")[0]
            again = caller.ask(imei=imei, type="start", key=key, long=number_of(key))
            assert again["command"] == reply["command"], (key, again)
    assert sum(len(one.seen) for one in devices) == len(seen), "nothing was started again"
    numbers = [one["event"] for one in gateway.ask({"type": "events", "limit": 1000})["items"]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def says_that_it_was_moved(gateway: Gateway, former: str) -> None:
    gateway.terminate()
    (gateway.folder / "gateway.toml").write_text(former)
    gateway.start()
    reply = gateway.ask({"type": "start", "imei": IMEIS[0], "long": 5, "key": "late"})
    assert (reply["status"], reply["outcome"]) == ("503", "refused")
    assert "this database was moved to postgresql" in reply["message"]


def test_orders_go_on_while_it_goes_over(postgres_url: str) -> None:
    with (
        knowing(LOAD) as served,
        robots(served) as devices,
        Orders(served) as orders,
        moving(served, postgres_url) as mover,
    ):
        orders.more()
        mover.follows()
        orders.more()
        served.ask({"type": "edit", "imeis": [IMEIS[0]], "name": "new"})
        former = configured(served, postgres_url)
        reply = upgrade(served)
        assert reply["connections"] == len(IMEIS)
        assert "moved:" in mover.end()
        orders.more()
        orders.__exit__()
        assert "postgresql" in served.ask({"type": "status"})["database"]
        all_done_once(served, orders, devices)
        upgrade(served)  # from PostgreSQL to PostgreSQL, as ever
        says_that_it_was_moved(served, former)


def test_an_empty_database_is_not_gone_over_to(postgres_url: str) -> None:
    with knowing({}) as served:
        configured(served, postgres_url)
        assert "is empty, and the gateway works with another one: run" in refused(served)
        assert "sqlite" in served.ask({"type": "status"})["database"]


@pytest.mark.timeout(400)  # three copies of 80,000 rows, which other tests may slow down
def test_what_is_killed_halfway_has_changed_nothing(postgres_url: str) -> None:
    with knowing(LOAD) as served, robots(served) as devices, Orders(served) as orders:
        fill(served, 80_000)  # for some seconds
        with moving(served, postgres_url) as mover:
            eventually(lambda: state_of(postgres_url), bool)
            mover.kill()
        assert state_of(postgres_url) == "copying"
        orders.more()
        sqlite = configured(served, postgres_url)
        assert "not all rows" in refused(served), "an upgrade to it"
        (served.folder / "gateway.toml").write_text(sqlite)
        serves_nobody(postgres_url)
        orders.more()
        with moving(served, postgres_url) as mover:
            mover.follows()
            with moving(served, postgres_url) as other:
                assert "another `devgate db move` works with" in other.rest()
            orders.more()
            mover.kill()
        orders.more()
        with moving(served, postgres_url) as mover:  # where the one before was
            mover.follows()
            orders.more()
            orders.__exit__()
            configured(served, postgres_url)
            restart(served)  # and not by an upgrade
            mover.end()
        all_done_once(served, orders, devices)


def fill(gateway: Gateway, count: int) -> None:
    """Rows that no gateway reads unless it is in quarantine."""
    with contextlib.closing(sqlite3.connect(gateway.folder / "devgate.db", timeout=60)) as conn:
        conn.execute(
            "WITH RECURSIVE some (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM some LIMIT ?) "
            "INSERT INTO untried_key SELECT 'untried ' || n FROM some", (count,),
        )  # fmt: skip
        conn.commit()


def serves_nobody(url: str) -> None:
    other = Gateway(store=url)
    other.launch()
    assert other.wait() != 0
    assert "db move" in other.log()


def state_of(url: str) -> str | None:
    """Of the move into that database."""
    where = make_url(url.replace("\\", "")).render_as_string(hide_password=False)
    with contextlib.suppress(psycopg.errors.UndefinedTable), psycopg.connect(where) as conn:
        row = conn.execute("SELECT state FROM devgate_move").fetchone()
        return None if row is None else str(row[0])
    return None
