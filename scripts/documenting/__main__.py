"""Build the site. `python -m documenting OUT`, or by scripts/site."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from script import run as run_script

from documenting import built, making, running
from documenting.links import BrokenLink
from documenting.plan import ROOT
from documenting.staging import MissingPage
from documenting.words import NoChinese

DEFAULT = ROOT / "build" / "site"
MARKS = ("openapi.json", "zh/index.html")  # a folder with both is a site, and may be made again


def main() -> int:
    """Returns the exit code: 1 if something is wrong with the documents."""
    parser = argparse.ArgumentParser(prog="site", description=__doc__)
    parser.add_argument("out", nargs="?", type=Path, default=DEFAULT)
    out: Path = parser.parse_args().out
    is_site = all((out / mark).exists() for mark in MARKS)
    if out.exists() and not is_site and any(out.iterdir()):
        print(f"site: {out} is there, and is no site: name an empty folder", file=sys.stderr)
        return 1
    shutil.rmtree(out, ignore_errors=True)
    try:
        making.make(out, running.metrics())
    except (BrokenLink, MissingPage, NoChinese, built.Unswitched, making.NotBuilt) as err:
        print(f"site: {err}", file=sys.stderr)
        return 1
    wrong = built.wrong(out)
    for line in wrong:
        print(f"site: {line}", file=sys.stderr)
    if not wrong:
        print(f"site: built {out}")
    return 1 if wrong else 0


if __name__ == "__main__":
    run_script("site", main)
