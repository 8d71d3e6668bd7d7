"""A PostgreSQL server for the length of a run, if this machine has its programs."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine

from benchmark.errors import BenchError

TIMEOUT_SECONDS = 30.0  # seconds until it accepts connections
UNPRIVILEGED = ("postgres", "nobody")  # PostgreSQL refuses to run as root


def programs() -> Path | None:
    """The folder that holds initdb and postgres, or None."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = [Path(path).parent for path in [shutil.which("initdb")] if path]
    for folder in [*found, *debian]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


@contextmanager
def postgres(bin_folder: Path, cores: frozenset[int]) -> Iterator[str]:
    """The URL of a new and empty server on a Unix socket, pinned to `cores`.

    Its settings are PostgreSQL's own, fsync and all. It and its folder are gone at the end.
    """
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="bench-pg-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        data = folder / "data"
        done = subprocess.run(
            [bin_folder / "initdb", "-D", data, "-U", "devgate", "-A", "trust", "-E", "UTF8"],
            user=user,
            env=_environment(folder),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"initdb failed: {done.stderr.strip()}")
        with _running(bin_folder, folder, user, cores):
            yield f"postgresql://devgate@/postgres?host={folder}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def database(url: str, name: str) -> str:
    """A new database of the server at `url`: its URL."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.exec_driver_sql(f'CREATE DATABASE "{name}"')
    finally:
        engine.dispose()
    return url.replace("/postgres?", f"/{name}?")


@contextmanager
def _running(
    bin_folder: Path, folder: Path, user: str | None, cores: frozenset[int]
) -> Iterator[None]:
    log = folder / "log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            [bin_folder / "postgres", "-D", folder / "data", "-k", folder, "-h", ""],
            user=user,
            env=_environment(folder),
            stdout=output,
            stderr=output,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        ) as process,
    ):
        try:
            until = time.monotonic() + TIMEOUT_SECONDS
            while "ready to accept connections" not in log.read_text():
                if process.poll() is not None or time.monotonic() > until:
                    raise BenchError(f"PostgreSQL did not start: {log.read_text().strip()}")
                time.sleep(0.05)
            yield
        finally:
            process.send_signal(2)  # SIGINT: its fast shutdown
            process.wait()


def _user() -> str | None:
    """Whom to run it as: ourselves, or somebody without privileges if we are root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in UNPRIVILEGED if name in names), None)


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "LC_ALL": "C.UTF-8"}
