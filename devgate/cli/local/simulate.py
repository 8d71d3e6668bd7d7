"""`devgate simulate`: a fleet of simulated devices against any gateway."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from devgate.cli.output import Where, common, decorated, emit, say
from devgate.cli.params import ImeiType, target_of
from devgate.model import Imei, duration

DEFAULT_PORT = 12306
SHARE = click.FloatRange(0, 1)

Decorator = Callable[[Any], Any]


def _target(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, int]:
    try:
        return target_of(value, DEFAULT_PORT)
    except ValueError as err:
        raise click.BadParameter(str(err)) from None


def _span(ctx: click.Context, param: click.Parameter, value: str) -> tuple[float, float]:
    """A number of seconds, or two with a hyphen between: the shortest and the longest."""
    shortest, _, longest = value.partition("-")
    span = _seconds(ctx, param, shortest), _seconds(ctx, param, longest or shortest)
    if span[0] > span[1]:
        raise click.BadParameter(f"the shorter time comes first, not {value!r}")
    return span


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float:
    """A duration as people write it; without one, for ever."""
    try:
        return math.inf if value is None else duration(value)
    except ValueError as err:
        raise click.BadParameter(str(err)) from None


def _option(name: str, metavar: str, what: str, default: object = None, **more: Any) -> Decorator:
    return click.option(
        name, metavar=metavar, help=what, default=default, show_default=default is not None, **more
    )


OPTIONS = decorated(
    _option("--count", "N", "How many devices.", 20, type=click.IntRange(1)),
    _option("--first", "IMEI", "The first one's IMEI; the others count up from it.",
            "860000000000001", type=ImeiType()),
    _option("--times", "N", "How many of them, the last ones, count times instead of seconds.",
            0, type=click.IntRange(0)),
    _option("--heartbeat", "SECONDS", "Between two heartbeats of a device, about.",
            55.0, type=click.FloatRange(0.05)),
    _option("--fail", "0..1", "Share of commands that fail: 201.", 0.0, type=SHARE),
    _option("--silent", "0..1", "Share of commands that get no answer, done or not.",
            0.0, type=SHARE),
    _option("--delay", "SPAN", "Seconds from a command to the answer.", "0.1-0.5",
            callback=_span),
    _option("--churn", "R", "Lost connections per device and hour, on average.",
            0.0, type=click.FloatRange(0)),
    _option("--ramp", "R", "Connections made in a second, at most.",
            1000.0, type=click.FloatRange(0.1)),
    _option("--seed", "S", "Use the same random numbers again, as far as the network allows.",
            type=int),
    _option("--record", "FILE",
            "Append a line for every start that a device sees: IMEI, number, time.",
            type=click.Path(dir_okay=False, path_type=Path)),
    click.option("--for", "seconds", callback=_seconds, default=None, metavar="DURATION",
                 help="End after that time, such as 90, 15m or 1h30m."),
)  # fmt: skip


@click.command()
@click.argument(
    "target", callback=_target, default=f"127.0.0.1:{DEFAULT_PORT}", metavar="[HOST:PORT]"
)
@OPTIONS
@common
def simulate(
    where: Where,
    target: tuple[str, int],
    count: int,
    first: Imei,
    times: int,
    heartbeat: float,
    fail: float,
    silent: float,
    delay: tuple[float, float],
    churn: float,
    ramp: float,
    seed: int | None,
    record: Path | None,
    seconds: float,
) -> None:  # fmt: skip
    """Run a fleet of simulated devices against the gateway at HOST:PORT.

    They register, send heartbeats, ask for their texts, run for the time they are started for,
    answer, and come back when the connection is lost. The gateway must know their IMEIs
    (`devgate serve --demo N` knows the first N). Ctrl-C ends it with a summary.

    \b
      devgate simulate --count 100
      devgate simulate 127.0.0.1:12306 --count 15000 --churn 2 --for 1h
      devgate simulate --fail 0.05 --silent 0.05 --record starts.log
    """
    from devgate.simulator.fleet import Fleet
    from devgate.simulator.options import Habits, Options
    from devgate.simulator.run import run

    habits = Habits(heartbeat=heartbeat, fail=fail, silent=silent, delay=delay, churn=churn)
    options = Options(
        count=count, first=first, habits=habits, times=min(times, count), ramp=ramp,
        seed=seed, record=record,
    )  # fmt: skip

    def report(look: Mapping[str, object]) -> None:
        if where.as_json:
            emit(look)
        else:
            say(summary(look) if look["type"] == "summary" else status(look))

    run(Fleet(target, options), report, seconds=seconds)


def status(look: Mapping[str, object]) -> str:
    """One line about the state of the fleet."""
    shown = ("connected", "registered", "running", "starts", "heartbeats", "reconnects")
    parts = [f"{name} {look[name]}" for name in shown]
    parts += [f"{name} {look[name]}" for name in ("refused", "errors") if look[name]]
    trouble = f" ({look['trouble']})" if look["trouble"] else ""
    return f"{look['seconds']:7} s  " + "  ".join(parts) + trouble


def summary(look: Mapping[str, object]) -> str:
    """What the fleet has done."""
    names = ("starts", "stops", "results", "heartbeats", "reconnects", "refused", "errors")
    counts = ", ".join(f"{name} {look[name]}" for name in names)
    trouble = f" (the last: {look['trouble']})" if look["trouble"] else ""
    return f"{look['devices']} devices in {look['seconds']} s: {counts}{trouble}"
