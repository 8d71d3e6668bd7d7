"""`scripts/bench`: devgate and its peers in interleaved rounds, one table."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmark import postgres
from benchmark.build import build
from benchmark.errors import BenchError
from benchmark.figures import FIGURES, Values
from benchmark.machine import cores, describe, most_devices
from benchmark.measure import Pace, Rig, measure
from benchmark.report import Result
from benchmark.servers import Kind, devgate, peers
from benchmark.svg import Bars, picture

STORM = 15_000
FULL = Pace(tn=3.0, heartbeats=3.0, one_caller=8.0, callers=4.0, waves=8.0, devices=STORM)
QUICK = Pace(tn=0.7, heartbeats=0.7, one_caller=1.2, callers=0.8, waves=1.2, devices=STORM)
NAMES = ("devgate", "postgres", "floor", "rows", "uvloop", "go", "trio")


def compare(folder: Path, only: Sequence[str], rounds: int, pace: Pace) -> Result:
    """Measure the servers named in `only` (all if it is empty), `rounds` times in turn.

    A server that fails in a round has no figures from it, and the notes say why.
    """
    if pace.devices > most_devices():
        raise BenchError(
            f"{pace.devices} connections are too many for a process here ({most_devices()}): "
            "raise the limit of open files, or give fewer with --devices"
        )
    with ExitStack() as stack:
        tools = build(folder)
        notes = [note for note in tools.skipped if not only or note.split()[0].lower() in only]
        kinds = [kind for kind in peers(folder, tools) if not only or kind.key in only]
        if not only or "postgres" in only:
            kinds[:0] = _on_postgres(folder, stack, notes)
        if not only or "devgate" in only:
            kinds[:0] = _on_sqlite(folder, notes)
        for kind in kinds:
            if kind.rows is not None:  # its tables are made by devgate itself
                devgate(folder, kind.key, kind.title, f"sqlite:///{kind.rows}")
        found: dict[str, list[Values]] = {kind.key: [] for kind in kinds}
        rig = Rig(tools, folder, cores(), pace)
        for number in range(rounds):
            # Each round begins with another server: whatever drifts hits them all alike.
            for kind in [*kinds[number % len(kinds) :], *kinds[: number % len(kinds)]]:
                began = time.monotonic()
                try:
                    found[kind.key].append(measure(rig, kind))
                except BenchError as err:
                    notes.append(f"{kind.title}, round {number + 1}: {err}")
                say(
                    f"round {number + 1} of {rounds}: {kind.title}, "
                    f"{time.monotonic() - began:.0f} s"
                )
    return Result(describe(folder, rig.cores), kinds, pace.devices, found, notes)


def draw(result: Result) -> str:
    """The picture of the drawn figures, as SVG."""
    found, panels = result.medians(), []
    for figure in FIGURES:
        bars = [
            (kind.title, value, f"{value:,.{figure.digits}f}")
            for kind in result.kinds
            if (value := found[kind.key].get(figure.key)) is not None
        ]
        if figure.drawn and bars:
            better = "more is better" if figure.more_is_better else "less is better"
            panels.append(Bars(figure.title, f"{figure.unit}, {better}", bars))
    machine = result.machine
    note = f"{machine['date']}; {machine['cpu']}; {machine['kernel']}; Python {machine['python']}"
    return picture("devgate beside its peers", note, panels)


def say(text: str) -> None:
    """Progress, beside the table on standard output."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _on_sqlite(folder: Path, notes: list[str]) -> list[Kind]:
    try:
        return [devgate(folder, "devgate", "devgate", f"sqlite:///{folder}/devgate.db")]
    except BenchError as err:
        notes.append(str(err))
        return []


def _on_postgres(folder: Path, stack: ExitStack, notes: list[str]) -> list[Kind]:
    programs = postgres.programs()
    if programs is None:
        notes.append("devgate on PostgreSQL is left out: no initdb and postgres here")
        return []
    try:
        url = stack.enter_context(postgres.postgres(programs, cores().others))
        return [devgate(folder, "postgres", "on PostgreSQL", url, full=False)]
    except BenchError as err:
        notes.append(str(err))
        return []
