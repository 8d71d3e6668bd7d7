"""`scripts/bench lists`: how long a page of a list takes with a million devices."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio
from sqlalchemy import Connection

from benchmark import postgres
from benchmark.big_store import FIRST_IMEI, fill, rare_imei
from benchmark.compare import say
from benchmark.errors import BenchError
from benchmark.machine import cores
from benchmark.report import aligned
from devgate.gateway.operations.find import _find
from devgate.store import command_pages, device_pages, inbox
from devgate.store.command_looks import WantedCommands
from devgate.store.device_filters import WantedDevices
from devgate.store.engine import Database
from devgate.store.numbering import floor_id
from devgate.store.opening import open_database

DEVICES, COMMANDS, ROUNDS, SHOWN = 1_000_000, 10_000_000, 9, 50
UNKNOWN = 50_000
MAX_PAGE_MS = 100.0  # that a page may take
DAY = 86_400

Look = Callable[[Connection], Any]


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench lists`."""
    parser.add_argument("--devices", type=int, default=DEVICES, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--commands", type=int, default=COMMANDS, metavar="N", help="(%(default)s)"
    )
    parser.add_argument(
        "--unknown", type=int, default=UNKNOWN, metavar="N",
        help="how many of them have an unknown outcome (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--only", choices=("sqlite", "postgresql"), help="one of the databases alone"
    )
    parser.add_argument(
        "--url", metavar="URL", help="an empty database, or one that was filled so; it is kept"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="where the stores go: on a real disk"
    )


def run(args: argparse.Namespace) -> int:
    """Fill a store of the schema before lists, upgrade it, and read each page with its count again
    and again in a thread: the median and the longest time, and how long a loop beside it stood
    still. The exit code is 1 if a page took longer than 100 ms in the median."""
    if args.url:
        args.only = args.url.partition(":")[0].partition("+")[0]
    kinds = [args.only] if args.only else ["sqlite", "postgresql"]
    figures: dict[str, dict[str, list[float]]] = {}
    for kind in kinds:
        with _store(kind, args) as database:
            figures[kind] = measure(database, args.rounds)
    rows = [["page, ms", *(f"{kind} median / most / loop" for kind in figures)]]
    rows += [
        [name, *(" / ".join(f"{ms:.1f}" for ms in figures[kind][name]) for kind in figures)]
        for name in next(iter(figures.values()))
    ]
    print("\n".join(aligned(rows)))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")
    slow = [
        (k, n) for k, pages in figures.items() for n, ms in pages.items() if ms[0] > MAX_PAGE_MS
    ]
    for kind, name in slow:
        say(f"{kind}: {name} takes longer than {MAX_PAGE_MS:.0f} ms")
    return 1 if slow else 0


@contextmanager
def _store(kind: str, args: argparse.Namespace) -> Iterator[Database]:
    if args.url:
        yield _filled(args.url, args)
        return
    with tempfile.TemporaryDirectory(prefix="bench-lists-", dir=args.folder) as folder:
        if kind == "sqlite":
            yield _filled(f"sqlite:///{folder}/lists.db", args)
            return
        programs = postgres.programs()
        if programs is None:
            raise BenchError("PostgreSQL is not installed here")
        used = cores()
        with postgres.postgres(programs, frozenset({used.server, used.generator})) as url:
            yield _filled(postgres.database(url, "lists"), args)


def _filled(url: str, args: argparse.Namespace) -> Database:
    began = time.monotonic()
    if not fill(url, args.devices, args.commands, args.unknown):
        return open_database(url)
    say(f"filled in {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    database = open_database(url, upgrade=True)
    say(f"upgraded in {time.monotonic() - began:.0f} s")
    if database.dialect == "postgresql":  # as its autovacuum does; in SQLite nobody does it
        with database.write() as conn:
            conn.exec_driver_sql("ANALYZE")
    return database


def pages(now: float, deep: str, old: str) -> dict[str, Look]:
    """Every kind of page; `deep` is an IMEI in the middle, `old` a command's id there."""

    def devices(**wanted: Any) -> Look:
        how = {k: wanted.pop(k) for k in ("sort", "down", "after", "before") if k in wanted}
        chosen = WantedDevices(**wanted, now=now)
        return lambda conn: device_pages.find(conn, chosen, SHOWN, counted=True, **how)

    def commands(after: str | None = None, **wanted: Any) -> Look:
        chosen = WantedCommands(**wanted)
        return lambda conn: (
            command_pages.find(conn, chosen, SHOWN, after),
            command_pages.count(conn, chosen),
        )

    def unresolved(after: str | None = None, **looked: Any) -> Look:
        chosen = inbox.InboxFilter(old=True, **looked)
        return lambda conn: (
            inbox.page(conn, chosen, after=after, limit=SHOWN),
            inbox.count(conn, chosen),
        )

    def one(name: str) -> frozenset[str]:
        return frozenset({name})

    return {
        "devices": devices(),
        "devices, in the middle": devices(after=deep),
        "devices, previous page there": devices(before=deep),
        "by name": devices(sort="name"),
        "by name, last first": devices(sort="name", down=True),
        "by since": devices(sort="since"),
        "by since, newest first": devices(sort="since", down=True),
        "by state": devices(sort="state", running_now=()),
        "by state, last first": devices(sort="state", down=True, running_now=()),
        "by number": devices(sort="id"),
        "online": devices(online=True),
        "offline for 1 h, by since": devices(away_since=now - 3600, sort="since"),
        "offline for 7 d, by since": devices(away_since=now - 7 * DAY, sort="since"),
        "never seen": devices(seen=False),
        "not started for 7 d": devices(idle_since=now - 7 * DAY, enabled=True),
        "failing more than 5 %": devices(failing=0.05),
        "disabled": devices(enabled=False),
        "a site": devices(site="Site 77"),
        "a site, offline, by since": devices(site="Site 77", online=False, sort="since"),
        "a rare site": devices(site="Rare"),
        "the largest site, by name": devices(site="Hall", sort="name"),
        "name of two signs": devices(text="浴室"),
        "rare name of two signs": devices(text="稀有"),
        "name that many have": devices(text="chair"),
        "name that one has": devices(text="chair 777770"),
        "end of an IMEI": devices(text=rare_imei(777_777)[-6:]),
        "nothing": devices(text="nobody is called that"),
        "name at a site, offline": devices(text="浴室", site="Site 77", online=False),
        "find: an order": lambda conn: _find(conn, "order-5000000", None),
        "find: a number": lambda conn: _find(conn, "777777", None),
        "find: a name": lambda conn: _find(conn, "浴室", None),
        "orders": commands(),
        "orders, in the middle": commands(after=old),
        "failed": commands(outcomes=one("failed")),
        "unknown": commands(outcomes=one("unknown")),
        "failed or unknown of a day": commands(
            outcomes=frozenset({"failed", "unknown"}), since=now - 9 * DAY, until=now - 8 * DAY
        ),
        "pending": commands(outcomes=one("pending")),
        "done": commands(outcomes=one("done"), after=old),
        "orders of a site": commands(site="Site 77"),
        "orders of a rare site": commands(site="Rare"),
        "orders of the largest site": commands(site="Hall"),
        "failed at a site": commands(outcomes=one("failed"), site="Site 77"),
        "stops": commands(kind="stop"),
        "a person's": commands(source="web:anna"),
        "a rare program's": commands(source="http:test"),
        "a device's": commands(imei=deep),
        "inbox": unresolved(),
        "inbox, in the middle": unresolved(after=old),
        "inbox of a site": unresolved(site="Site 77"),
        "inbox of a rare site": unresolved(site="Rare"),
        "inbox of nobody": unresolved(person="nobody"),
        "inbox, older than 20 d": unresolved(before=now - 20 * DAY),
        "inbox, of the last day": unresolved(since=now - DAY),
        "inbox of a device": unresolved(imei=deep),
        "inbox, resolved by nobody": unresolved(state="resolved", person="nobody"),
    }


def measure(database: Database, rounds: int) -> dict[str, list[float]]:
    """By page: median and most milliseconds, and those that the loop stood still."""
    with database.read() as conn:
        middle = conn.exec_driver_sql("SELECT count(*) / 2 FROM device").scalar_one()
        deep = f"{FIRST_IMEI + int(middle):015}"
        newest = conn.exec_driver_sql("SELECT max(accepted_at) FROM command").scalar_one()
        old = floor_id(newest - 15 * DAY)
    return {
        name: _timed(database, look, rounds) for name, look in pages(newest, deep, old).items()
    }


def _timed(database: Database, look: Look, rounds: int) -> list[float]:
    times: list[float] = []
    gaps: list[float] = []

    def read() -> None:
        with database.read() as conn:
            began = time.perf_counter()
            look(conn)
            times.append((time.perf_counter() - began) * 1000)

    async def beat(done: trio.Event) -> None:
        last = time.perf_counter()
        while not done.is_set():
            await trio.lowlevel.checkpoint()
            now = time.perf_counter()
            gaps.append((now - last) * 1000)
            last = now
            await trio.sleep(0.0005)
            last = time.perf_counter()

    async def both() -> None:
        done = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(beat, done)
            for _ in range(rounds):
                await trio.to_thread.run_sync(read)
            done.set()

    read()  # what a cold cache costs is the disk's
    times.clear()
    trio.run(both)
    return [statistics.median(times), max(times), max(gaps, default=0.0)]
