"""The command line of scripts/doctor-test."""

from __future__ import annotations

import argparse

from script import run as run_script

from examining.faults import FAULTS
from examining.world import examined


def main() -> int:
    """Break, examine, compare; the exit code is 1 if a fault was not found."""
    parser = argparse.ArgumentParser(
        prog="scripts/doctor-test",
        description="Break a gateway in one way after the other, and see that `devgate doctor` "
        "finds each.",
    )
    parser.add_argument("--only", default="", metavar="A,B", help="faults by their names")
    args = parser.parse_args()
    only = {name for name in args.only.split(",") if name}
    if unknown := only - {fault.name for fault in FAULTS}:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    found = missed = skipped = 0
    for fault in FAULTS:
        if only and fault.name not in only:
            continue
        if why := fault.cannot():
            skipped += 1
            print(f"skipped  {fault.name}: {why}", flush=True)
            continue
        seen, all_found = examined(fault)
        if seen is None:
            missed += 1
            print(f"MISSED   {fault.name}; what was found:", flush=True)
            for one in all_found:
                print(f"           {one.severity} {one.check}: {one.message}")
        else:
            found += 1
            print(f"found    {fault.name}: {seen.severity} {seen.check}: {seen.message}")
            print(f"           {seen.action}", flush=True)
    print(f"{found} faults were found, {missed} were not; {skipped} were skipped")
    return int(bool(missed) or not found)


if __name__ == "__main__":
    run_script("doctor-test", main)
