"""A gateway that is well, a fault in it, and what `devgate doctor` says before and after."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.e2e.harness import Gateway, environment
from tests.postgres import Postgres, binaries, running

IMEIS = [f"86{number:013d}" for number in range(1, 301)]


class Seen(NamedTuple):
    """One finding."""

    severity: str
    check: str
    message: str
    action: str


@dataclass
class World:
    """What a fault may break."""

    served: Gateway
    postgres: Postgres | None
    descriptors: int | None = None  # of the examination; None: as many as there are
    undo: list[Callable[[], object]] = field(default_factory=list)

    def configure(self, **tables: dict[str, object]) -> None:
        """Write the configuration again, with these keys besides."""
        self.served.configure(tables, store=self.served.store)

    def examine(self) -> list[Seen]:
        """`devgate doctor --json`."""

        def limited() -> None:
            if self.descriptors is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors, self.descriptors))

        done = subprocess.run(
            [sys.executable, "-m", "devgate", "doctor", "--json"],
            cwd=self.served.folder, env=environment(self.served.folder), preexec_fn=limited,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode in (0, 1, 12), done.stderr
        found = [Seen(**json.loads(line)) for line in done.stdout.splitlines()]
        worst = {one.severity for one in found}
        code = 12 if "error" in worst else 1 if "warning" in worst else 0
        assert done.returncode == code, f"exit code {done.returncode}, and {worst} were found"
        assert all(one.action for one in found if one.severity != "ok"), "it says what to do"
        return found


@dataclass(frozen=True)
class Fault:
    """Something that is broken on purpose. `says` begins the message, or is part of it."""

    name: str
    severity: str
    check: str
    says: str
    breaks: Callable[[World], object]
    starts: bool = False  # the gateway runs
    postgres: bool = False
    settings: dict[str, str] = field(default_factory=dict)  # of PostgreSQL
    root: bool = False

    def cannot(self) -> str:
        """Why it cannot be tried here; nothing if it can."""
        if self.root and os.geteuid() != 0:
            return "only root can do that"
        if self.postgres and binaries() is None:
            return "there is no PostgreSQL"
        return ""

    def among(self, found: list[Seen]) -> Seen | None:
        """The finding that is meant."""
        for one in found:
            if (one.severity, one.check) == (self.severity, self.check) and self.says in (
                one.message
            ):
                return one
        return None


def examined(fault: Fault) -> tuple[Seen | None, list[Seen]]:
    """The finding of that fault, and all that was found. AssertionError if it was found before
    anything was broken."""
    with _world(fault) as world:
        assert fault.among(world.examine()) is None, f"{fault.name}: found, and nothing is broken"
        fault.breaks(world)
        found = world.examine()
        return fault.among(found), found


@contextmanager
def _world(fault: Fault) -> Iterator[World]:
    if not fault.postgres:
        with _gateway("sqlite:///devgate.db", None, fault.starts) as world:
            yield world
        return
    programs = binaries()
    assert programs is not None
    safe = {"fsync": "on", "full_page_writes": "on", "autovacuum": "on"}
    with (
        running(programs, settings={**safe, **fault.settings}) as server,
        _gateway(server.create_database(), server, fault.starts) as world,
    ):
        yield world


@contextmanager
def _gateway(store: str, server: Postgres | None, starts: bool) -> Iterator[World]:
    """It has worked once, and knows 300 devices."""
    served = Gateway(store=store)
    world = World(served, server)
    try:
        served.fill([{"imei": imei} for imei in IMEIS])
        served.start()
        if not starts:
            served.terminate()
        yield world
    finally:
        for undo in reversed(world.undo):
            undo()
        if served.process is not None and served.process.poll() is None:
            served.process.kill()
            served.process.wait()
        shutil.rmtree(served.folder)
