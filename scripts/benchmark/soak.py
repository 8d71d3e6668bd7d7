"""`scripts/soak`: a long day in an hour. Fails if memory, descriptors, tasks or lag grow."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from script import run as run_script

from benchmark.errors import BenchError
from benchmark.loads import Loads
from benchmark.machine import cores, describe, most_devices
from benchmark.samples import MEASURES, SHOWN, Sample, process, time_of, verdicts
from benchmark.servers import Server, devgate, serving
from benchmark.svg import Lines, picture
from devgate.control.client import NoGateway, ask

SAMPLES = 360  # in all; at least SHORTEST seconds apart
SHORTEST = 1.0
BACK = 0.95  # share of the fleet that must be registered at the end, storms or not
BAD = ("400", "500", "503")  # no start of a soak deserves these


def main() -> int:
    """Run a soak; the exit code is 1 if anything grew or broke."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, metavar="N", help="(%(default)s)")
    parser.add_argument("--devices", type=int, default=15_000, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--starters", type=int, default=4, metavar="N", help="callers at once (%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw them there")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="where the store goes: on a real disk"
    )
    args = parser.parse_args()
    if args.devices > most_devices():
        raise BenchError(f"{args.devices} devices are too many for one process here")
    where = cores()
    os.sched_setaffinity(0, {where.generator})
    with tempfile.TemporaryDirectory(prefix="soak-", dir=args.folder) as name:
        folder = Path(name)
        machine = describe(folder, where)
        kind = devgate(folder, "devgate", "devgate", f"sqlite:///{folder}/devgate.db")
        with serving(kind, folder, where.server) as server:
            loads = Loads(server.port, server.control, where.generator, args.devices)
            with loads.running(args.starters):
                samples = _sample(server, loads, args.minutes * 60)
        said = (folder / "devgate.log").read_text().strip().splitlines()
    faults = _faults(samples, loads, said)
    lines, flat = verdicts(samples)
    print("\n".join(f"{key:8} {value}" for key, value in machine.items()))
    print("\n".join(["", _summary(args.devices, samples, loads), "", *lines, *faults]))
    if args.json:
        args.json.write_text(json.dumps(_plain(machine, samples, lines, faults), indent=1) + "\n")
    if args.svg:
        args.svg.write_text(_draw(machine, samples, args.devices))
    return 0 if flat and not faults else 1


def _sample(server: Server, loads: Loads, seconds: float) -> list[Sample]:
    """Look at the gateway until `seconds` have passed, or it has gone."""
    samples: list[Sample] = []
    pid, began = server.process.pid, time.monotonic()
    every = max(SHORTEST, seconds / SAMPLES)
    spent, last = time_of(pid), began
    while (passed := time.monotonic() - began) < seconds and server.process.poll() is None:
        time.sleep(every)
        values = process(pid) | _status(server)
        lag, used, now = loads.lag(), time_of(pid), time.monotonic()
        if lag is not None:
            values["lag"] = lag
        values["cpu"] = (used[0] - spent[0]) / (now - last) * 100
        if used[1] >= spent[1]:  # no thread has ended meanwhile
            values["starved"] = (used[1] - spent[1]) / (now - last) * 100
        spent, last = used, now
        samples.append(Sample(passed, values))
        if len(samples) % 20 == 0:
            shown = "  ".join(f"{key} {value:,.1f}" for key, value in values.items())
            print(f"soak: {passed / 60:.1f} min  {shown}", file=sys.stderr, flush=True)
    return samples


def _status(server: Server) -> dict[str, float]:
    """What the gateway says of itself, and how long it took to say it."""
    before = time.monotonic()
    try:
        reply = ask(str(server.control), {"type": "status"})
    except NoGateway:
        return {}
    values = {key: float(reply[key]) for key in ("tasks", "registered") if key in reply}
    return values | {"answer": (time.monotonic() - before) * 1e3}


def _faults(samples: Sequence[Sample], loads: Loads, said: Sequence[str]) -> list[str]:
    """What went wrong besides growing, a line each."""
    faults = [f"BROKEN: {text}" for text in loads.broken]
    faults += [
        f"BROKEN: {loads.statuses[s]} starts or stops ended as {s}"
        for s in BAD
        if loads.statuses[s]
    ]
    if any("Traceback" in line for line in said):
        faults.append(f"BROKEN: the gateway's log has a traceback; it ends: {said[-1]}")
    expected = BACK * (loads.steady + loads.stormy)
    best = max((s.values.get("registered", 0) for s in samples[-len(samples) // 4 :]), default=0)
    if best < expected:
        faults.append(f"BROKEN: only {best:,.0f} devices were registered towards the end")
    if not loads.events:
        faults.append("BROKEN: no event was seen")
    return faults


def _summary(devices: int, samples: Sequence[Sample], loads: Loads) -> str:
    minutes = samples[-1].seconds / 60 if samples else 0
    statuses = ", ".join(f"{count:,} x {s}" for s, count in sorted(loads.statuses.items()))
    return (
        f"{minutes:.1f} minutes with {devices:,} devices: {loads.storms} storms of "
        f"{loads.stormy:,}; commands: {statuses or 'none'}; {loads.events:,} events read; "
        f"{loads.cut_readers} slow readers cut off"
    )


def _plain(
    machine: dict[str, str], samples: Sequence[Sample], lines: list[str], faults: list[str]
) -> dict[str, object]:
    return {
        "machine": machine,
        "verdicts": lines,
        "faults": faults,
        "samples": [{"seconds": round(s.seconds, 1), **s.values} for s in samples],
    }


def _draw(machine: dict[str, str], samples: Sequence[Sample], devices: int) -> str:
    panels = []
    for measure in (*MEASURES, *SHOWN):
        points = [
            (s.seconds / 60, s.values[measure.key]) for s in samples if measure.key in s.values
        ]
        if points:
            note = f"{measure.unit}, by minutes" if measure.unit else "by minutes"
            panels.append(Lines(measure.title, note, [("gateway", points)]))
    note = f"{machine['date']}; {machine['cpu']}; {machine['kernel']}; Python {machine['python']}"
    return picture(f"devgate under {devices:,} devices that come and go", note, panels)


if __name__ == "__main__":
    run_script("soak", main)
