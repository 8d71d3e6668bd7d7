"""Run a fleet until it is told to stop, and report on it meanwhile."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict

import trio

from devgate.errors import SetupError
from devgate.model import iso
from devgate.simulator.fleet import Fleet

REPORT_SECONDS = 3.0  # seconds between two reports

Report = Callable[[Mapping[str, object]], None]


def run(
    fleet: Fleet,
    report: Report,
    *,
    seconds: float = math.inf,
    every: float = REPORT_SECONDS,
) -> None:
    """Block until `seconds` have passed, SIGINT or SIGTERM. To be called in the main thread.

    `report` gets a look at the fleet every `every` seconds, and a last one of the type "summary".
    What it raises (SystemExit, where nobody reads any more) ends the fleet and comes out here.
    Raises SetupError as Fleet.run() does.
    """
    ended: BaseException | None = None
    try:
        trio.run(_run, fleet, report, seconds, every)
    except* (SetupError, SystemExit) as group:
        ended = _first(group)
    if ended is not None:
        raise ended


async def _run(fleet: Fleet, report: Report, seconds: float, every: float) -> None:
    began = trio.current_time()

    def look(kind: str) -> None:
        report(
            {
                "type": kind,
                "at": iso(time.time()),
                "seconds": round(trio.current_time() - began, 1),
                **asdict(fleet.counters),
                "trouble": fleet.trouble or None,
            }
        )

    async def watch() -> None:
        while True:
            await trio.sleep(every)
            look("status")

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            await nursery.start(fleet.run)
            nursery.start_soon(watch)
            with trio.move_on_after(seconds):
                async for _ in signals:
                    break
            nursery.cancel_scope.cancel()
    look("summary")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """One of the errors: one sentence is enough for the person who reads it."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
