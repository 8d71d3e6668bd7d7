"""`scripts/results-rule`: the table of outcomes under the rule of each working tree."""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import trio
from crashing.processes import World as Place
from script import run as run_script

from ruling.devices import Device
from ruling.worlds import ACK_TIMEOUT, LATE_WINDOW, WORLDS

CONFIG = """\
[device]
listen = "127.0.0.1:{port}"

[control]
socket = "gateway.sock"

[command]
ack_timeout = {ack_timeout}
late_window = {late_window}

[store]
url = {store}

[log]
level = "error"
"""
COLUMNS = ("200 right", "200 wrong", "408 answered", "408 unanswered", "ambiguous", "other")


def main() -> None:
    parser = argparse.ArgumentParser("scripts/results-rule", description=__doc__)
    parser.add_argument("--tree", action="append", type=Path, help="a working tree (this one)")
    parser.add_argument("--seconds", type=float, default=120, help="of orders (120)")
    parser.add_argument("--devices", type=int, default=40, help="in each world (40)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    trees = args.tree or [Path(__file__).resolve().parent.parent.parent]
    trio.run(partial(measure, trees, args.seconds, args.devices, args.seed))


async def measure(trees: list[Path], seconds: float, devices: int, seed: int) -> None:
    """All trees at once: they share the machine's disturbances."""
    found: dict[Path, list[list[Device]]] = {}
    async with trio.open_nursery() as nursery:
        for tree in trees:
            found[tree] = []
            nursery.start_soon(one_tree, tree.resolve(), seconds, devices, seed, found[tree])
    print(f"{'':32} {'':>7}" + "".join(f"{name:>16}" for name in COLUMNS))
    for number, world in enumerate(WORLDS):
        for tree in trees:
            row(world.name, tree.resolve(), found[tree][number])


def row(name: str, tree: Path, devices: list[Device]) -> None:
    count = Counter[str]()
    total = 0
    for device in devices:
        for start in device.starts:
            total += 1
            status = str(start.record["status"])
            count["ambiguous"] += bool(start.record.get("ambiguous"))
            if status == "200":
                count["200 right" if start.ran else "200 wrong"] += 1
            elif status == "408":
                count["408 answered" if start.answered else "408 unanswered"] += 1
            else:
                count["other"] += 1
    parts = "".join(f"{count[column] / max(total, 1):16.2%}" for column in COLUMNS)
    print(f"{name:32} {total:>7,}{parts}  {tree.name}")


async def one_tree(
    tree: Path, seconds: float, devices: int, seed: int, found: list[list[Device]]
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="devgate-rule-"))
    place = Place(
        folder, "sqlite:///devgate.db", devices * len(WORLDS), CONFIG,
        environment={"PYTHONPATH": str(tree)}, ack_timeout=ACK_TIMEOUT, late_window=LATE_WINDOW,
    )  # fmt: skip
    try:
        await trio.to_thread.run_sync(place.add_devices)
        place.launch()
        await trio.to_thread.run_sync(place.ready)
        imeis = iter(place.imeis)
        until = trio.current_time() + seconds
        async with trio.open_nursery() as nursery:
            for number, world in enumerate(WORLDS):
                some = [
                    Device(next(imeis), place.port, world, random.Random(f"{seed} {number} {n}"))
                    for n in range(devices)
                ]
                found.append(some)
                for device in some:
                    nursery.start_soon(device.live, str(place.socket), until)
    except BaseException:
        print(place.words("serve"))
        raise
    finally:
        place.end()
        shutil.rmtree(folder)


if __name__ == "__main__":
    run_script("results-rule", main)
