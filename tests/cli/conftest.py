"""A socket that answers as a gateway, and runners of the command line."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import devgate
from devgate.cli.main import cli
from tests.cli.answering import Answering

Run = Callable[..., Result]
Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def nobody_elses_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEVGATE_SOCKET", "DEVGATE_CONFIG", "DEVGATE_CONTROL__SOCKET"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def processes_find_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """In whatever folder they run, and whether the package is installed or not."""
    monkeypatch.setenv("PYTHONPATH", str(Path(devgate.__file__).parent.parent))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name: the path of a socket may have 107 bytes."""
    path = tempfile.mkdtemp(prefix="dg-")
    yield Path(path)
    shutil.rmtree(path)


@pytest.fixture
def gateway(folder: Path) -> Iterator[Answering]:
    answering = Answering(str(folder / "s"))
    answering.listen()
    yield answering
    answering.close()


@pytest.fixture
def run(gateway: Answering) -> Run:
    """Runs a command line in this process, against the gateway."""

    def run(*args: str, input: bytes | None = None) -> Result:
        return CliRunner().invoke(cli, ["--socket", gateway.path, *args], input=input)

    return run


@pytest.fixture
def spawn(gateway: Answering) -> Iterator[Spawn]:
    """Runs a command line as a process of its own, where Ctrl-C works as in a terminal."""
    running: list[subprocess.Popen[str]] = []

    def spawn(*args: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            # Of a process that was started in the background SIGINT would be ignored.
            ["env", "--default-signal=INT", sys.executable, "-m", "devgate",
             "--socket", gateway.path, *args],
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        running.append(process)
        return process

    yield spawn
    for process in running:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()
