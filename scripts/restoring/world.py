"""One life of a gateway, a copy in the middle of it, and the life after the restore.

Each order has a duration of its own, so that what a machine was sent tells which order it was.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import psycopg

from tests.e2e.caller import DEVICES, Robot
from tests.e2e.harness import Gateway, gateway

CALLERS = 8
OFFLINE = 10  # of the machines are away until the copy was made, with one order each that waits
UNTRIED = 20  # orders that were paid and never asked for


@dataclass(slots=True)
class Figures:
    """What was counted."""

    orders: int = 0
    before: int = 0  # ended before the copy was made
    after: int = 0  # were asked for after that
    recorded: int = 0  # asked again, and answered by their record
    quarantined: int = 0  # asked again, and refused for the quarantine
    unknown: int = 0  # asked again, and 408: they waited in the copy
    untried: int = 0  # listed as never tried, and started
    # ... and 408: what was in flight in the copy has the same device, and its late result may be
    # the answer (protocol.md section 4)
    ambiguous: int = 0
    twice: int = 0  # orders that started their machine more than once
    wrong: list[str] = field(default_factory=list)  # anything else that may not be

    def add(self, other: Figures) -> None:
        """Count these, too."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self) -> str:
        return ", ".join(f"{name} {getattr(self, name)}" for name in self.__slots__[:-1])


@dataclass(frozen=True, slots=True)
class Order:
    """A start with a key. No two of a round have the same duration."""

    number: int
    imei: str

    @property
    def key(self) -> str:
        return f"order-{self.number}"

    def request(self, **more: object) -> dict[str, object]:
        return {
            "type": "start", "imei": self.imei, "long": self.number, "key": self.key, **more,
        }  # fmt: skip


class Machines:
    """Robots that are connected, and what all that ever were have seen."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, str]] = Counter()
        self._robots: list[Robot] = []

    def connect(self, served: Gateway, imeis: list[str]) -> None:
        self._robots += [Robot(served, imei) for imei in imeis]

    def leave(self) -> None:
        for robot in self._robots:
            robot.close()
            self.seen.update((robot.imei, command) for command in robot.seen)
        self._robots.clear()


def one_round(store: str, orders: int, rng: random.Random, *, held: bool) -> Figures:
    """A life with a copy, a restore, and every order once more. `held`: with a quarantine."""
    imeis = [str(row["imei"]) for row in DEVICES]
    away, there = imeis[:OFFLINE], imeis[OFFLINE:]
    made = [Order(n, rng.choice(there)) for n in range(1, orders + 1)]
    waiting = [Order(orders + n, imei) for n, imei in enumerate(away, 1)]
    untried = [Order(orders + OFFLINE + n, rng.choice(there)) for n in range(1, UNTRIED + 1)]
    figures, machines = Figures(orders=len(made) + len(waiting)), Machines()
    with ExitStack() as stack:
        served = stack.enter_context(gateway(store=store, devices=DEVICES))
        stack.callback(machines.leave)
        machines.connect(served, there)
        for order in waiting:
            served.ask(order.request(wait=False, expires=3600))
        copy = _first_life(served, machines, made, away, rng, figures)
        machines.leave()
        served.kill() if rng.random() < 0.5 else served.terminate()
        _lose(served)
        how = "--quarantine" if held else "--nothing-newer"
        done = served.cli("restore", copy, how)
        assert done.returncode == 0, done.stderr
        served.start()
        machines.connect(served, imeis)
        _again(served, [*made, *waiting], figures)
        if held:
            _afterwards(served, untried, figures)
        machines.leave()
    for order in (*made, *waiting, *untried):
        times = machines.seen[order.imei, f"QD{order.number}"]
        figures.twice += times > 1
        if order in untried and held and times != 1:
            figures.wrong.append(f"{order.key} was never tried, and started {times} times")
    return figures


def _first_life(
    served: Gateway,
    machines: Machines,
    made: list[Order],
    away: list[str],
    rng: random.Random,
    figures: Figures,
) -> str:
    """All orders, and in the middle of them a copy. Returns its file."""
    backups = served.folder / "backups"
    backups.mkdir()
    begin_at = rng.randint(len(made) // 4, len(made) // 2)
    begin, copied, files = threading.Event(), threading.Event(), list[str]()

    def back_up() -> None:
        try:
            begin.wait()
            figures.before = ended
            done = served.cli("backup", str(backups), "--json")
            assert done.returncode == 0, done.stderr
            files.append(json.loads(done.stdout)["file"])
            machines.connect(served, away)  # what waited runs now: the copy knows nothing of it
        finally:
            copied.set()

    ended = 0
    copier = threading.Thread(target=back_up)
    copier.start()
    with ThreadPoolExecutor(CALLERS) as pool:
        half = len(made) * 3 // 4
        for reply in pool.map(lambda order: served.ask(order.request()), made[:half]):
            ended += 1
            if ended == begin_at:
                begin.set()
            if reply["status"] != "200":
                figures.wrong.append(f"{reply['key']}: {reply['status']} in the first life")
        copied.wait()
        figures.after = len(made) - half
        list(pool.map(lambda order: served.ask(order.request()), made[half:]))
    copier.join()
    assert files, "there is no copy"
    for imei in away:
        served.until(imei, "online", True)
    return files[0]


def _lose(served: Gateway) -> None:
    """The database is gone."""
    if served.store.startswith("postgresql"):
        with psycopg.connect(served.store, autocommit=True) as conn:
            row = conn.execute("SELECT current_schema()").fetchone()
            assert row is not None
            conn.execute(f'DROP SCHEMA "{row[0]}" CASCADE')
            conn.execute(f'CREATE SCHEMA "{row[0]}"')
        return
    for name in ("", "-wal", "-shm"):
        (served.folder / f"devgate.db{name}").unlink(missing_ok=True)


def _again(served: Gateway, orders: list[Order], figures: Figures) -> None:
    """A payment provider repeats all of its calls."""
    with ThreadPoolExecutor(CALLERS) as pool:
        replies = list(pool.map(lambda order: served.ask(order.request()), orders))
    for order, reply in zip(orders, replies, strict=True):
        match reply["status"], reply.get("why"):
            case "200", _:
                figures.recorded += 1
            case "423", "quarantine":
                figures.quarantined += 1
            case "408", _:
                figures.unknown += 1
            case status, why:
                figures.wrong.append(f"{order.key}: {status} {why} after the restore")


def _afterwards(served: Gateway, untried: list[Order], figures: Figures) -> None:
    """What was never tried is let through, and only that; then the quarantine ends."""
    file = served.folder / "untried.csv"
    file.write_text("key,paid\n" + "".join(f"{order.key},1.50\n" for order in untried))
    done = served.cli("quarantine", "allow", str(file))
    assert done.returncode == 0, done.stderr
    for order in untried:
        for _ in range(2):  # the second one is answered by the first one's record
            reply = served.ask(order.request())
            if reply["status"] == "408" and reply["ambiguous"]:
                figures.ambiguous += 1
            elif reply["status"] != "200":
                figures.wrong.append(f"{order.key}: {reply['status']}, and it is untried")
        figures.untried += 1
    served.terminate()
    served.start()
    last = Order(untried[-1].number + 1, untried[-1].imei)
    refused = served.ask(last.request())
    if refused.get("why") != "quarantine":
        figures.wrong.append(f"a restart has ended the quarantine: {refused['status']}")
    done = served.cli("quarantine", "lift", "--yes")
    assert done.returncode == 0, done.stderr
    with Robot(served, last.imei):
        reply = served.ask(last.request())
    if reply["status"] != "200":
        figures.wrong.append(f"lifted, and a new order is {reply['status']}")
