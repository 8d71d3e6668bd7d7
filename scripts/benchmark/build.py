"""Compile the generator and the peers that need it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmark.errors import BenchError

HERE = Path(__file__).parent
PEERS = HERE / "peers"
C_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror")


@dataclass(frozen=True, slots=True)
class Tools:
    """What was built; None for what this machine cannot build, with the reason in `skipped`."""

    generator: Path
    floor: Path
    rows: Path | None
    go: Path | None
    uvloop: bool
    skipped: tuple[str, ...]


def build(folder: Path) -> Tools:
    """Build everything into `folder`. BenchError if the C compiler is missing or fails."""
    skipped = []
    go = _go(folder)
    if go is None:
        skipped.append("Go net is left out: no `go` here (Debian: apt install golang-go)")
    uvloop = find_spec("uvloop") is not None
    if not uvloop:
        skipped.append("uvloop is left out: it is not installed in .venv-bench")
    rows = folder / "rows" if _has("sqlite3.h") else None
    if rows is None:
        skipped.append("rows are left out: no sqlite3.h here (Debian: apt install libsqlite3-dev)")
    else:
        _c(rows, PEERS / "rows.c", library="sqlite3")
    generator = build_generator(folder)
    floor = _c(folder / "floor", PEERS / "floor.c")
    return Tools(generator, floor, rows, go, uvloop, tuple(skipped))


def build_generator(folder: Path) -> Path:
    """The generator alone. BenchError if the C compiler is missing or fails."""
    return _c(folder / "generator", *sorted((HERE / "generator").glob("*.c")))


def _c(target: Path, *sources: Path, library: str = "m") -> Path:
    _run([_compiler(), *C_FLAGS, "-o", target, *sources, f"-l{library}"])
    return target


def _has(header: str) -> bool:
    """Whether C programs can include it here."""
    done = subprocess.run(
        [_compiler(), "-E", "-x", "c", "-"],
        input=f"#include <{header}>\n",
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0


def _compiler() -> str:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise BenchError("no C compiler here, and the generator is in C: install gcc")
    return compiler


def _go(folder: Path) -> Path | None:
    compiler = shutil.which("go")
    if compiler is None:
        return None
    target = folder / "goroutines"
    _run([compiler, "build", "-o", target, PEERS / "goroutines.go"])
    return target


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{Path(command[0]).name} failed:\n{done.stderr.strip()}")
