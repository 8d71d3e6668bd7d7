"""The programs of the guides (docs/examples), run against a real gateway."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.e2e.caller import Robot, knowing
from tests.e2e.device import WAIT_SECONDS
from tests.e2e.harness import Gateway, Settings, environment

EXAMPLES = ROOT / "docs" / "examples"
# The compiler of Java and its programs take more time than all the others.
PROGRAMS = [
    pytest.param(f"{way}/{name}", marks=[pytest.mark.slow] if name.endswith(".java") else [])
    for way in ("http", "socket")
    for name in ("start.php", "start.py", "Start.java", "start.mjs")
]
RUNS = {".php": "php", ".py": sys.executable, ".mjs": "node", ".java": "java"}
DEBIAN = {".php": "php-cli", ".mjs": "nodejs", ".java": "default-jdk-headless"}
NUMBERS = itertools.count()
ASK_AGAIN = "unknown: ask again with the same order\n"


class Shop:
    """Where the examples ask."""

    def __init__(self, gateway: Gateway, token: str) -> None:
        self.gateway = gateway
        [door] = gateway.ask({"type": "status"})["listen"]["http"]
        self.environment = {
            **environment(gateway.folder),
            "DEVGATE_URL": f"http://{door}",
            "DEVGATE_TOKEN": token,
            "DEVGATE_SOCKET": str(gateway.socket),
        }

    def run(self, program: list[str], *arguments: str, **changed: str) -> str:
        done = subprocess.run(
            [*program, *arguments], env={**self.environment, **changed}, capture_output=True,
            text=True, timeout=WAIT_SECONDS,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    settings: Settings = {
        "http": {"listen": "127.0.0.1:0"},
        "command": {"ack_timeout": WAIT_SECONDS},
    }
    with knowing(settings) as gateway:
        token = gateway.ask({"type": "token_add", "name": "shop"})["token"]
        yield Shop(gateway, token)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("classes")


def program(name: str, folder: Path) -> list[str]:
    """How an example is run."""
    file = EXAMPLES / name
    runs = shutil.which(RUNS[file.suffix])
    if runs is None:
        pytest.skip(f"Debian: apt-get install {DEBIAN[file.suffix]}")
    if file.suffix != ".java":
        return [runs, str(file)]
    # `java Start.java` compiles it each time, which takes longer than all runs of the others.
    classes = folder / file.parent.name
    subprocess.run([shutil.which("javac") or "javac", "-d", str(classes), str(file)], check=True)
    return [runs, "-XX:TieredStopAtLevel=1", "-cp", str(classes), "Start"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_tells_the_outcomes_apart(shop: Shop, folder: Path, name: str) -> None:
    runs = program(name, folder)
    order = f"order-{name}-"
    yes, no, silent, away = (f"860000000000{next(NUMBERS) % 40:03}" for _ in range(4))
    shop.gateway.ask({"type": "edit", "imei": silent, "ack_timeout": 0.5})
    with (
        Robot(shop.gateway, yes) as device, Robot(shop.gateway, no, "201"),
        Robot(shop.gateway, silent, None), ThreadPoolExecutor(5) as pool,
    ):  # fmt: skip
        cases = {
            "running\n": pool.submit(shop.run, runs, yes, "500", f"{order}yes"),
            "refund: the device says that it failed": pool.submit(
                shop.run, runs, no, "500", f"{order}no"
            ),
            ASK_AGAIN: pool.submit(shop.run, runs, silent, "500", f"{order}silent"),
            "refund: the device is not connected": pool.submit(
                shop.run, runs, away, "500", f"{order}away"
            ),
        }
        for printed, run in cases.items():
            assert run.result().startswith(printed)
        again = pool.submit(shop.run, runs, yes, "500", f"{order}yes")
        other = pool.submit(shop.run, runs, yes, "501", f"{order}yes")
        assert again.result() == "running\n"
        assert other.result().startswith("look at command 01")
        assert device.seen == ["QD500"], "asked three times, started once"


@pytest.mark.parametrize("name", PROGRAMS)
def test_without_a_gateway(shop: Shop, folder: Path, name: str, tmp_path: Path) -> None:
    """Over the socket nothing was sent; over HTTP a proxy may have taken it, so nobody knows."""
    printed = shop.run(
        program(name, folder), "860000000000001", "500", f"order-{name}-nobody",
        DEVGATE_URL="http://127.0.0.1:1", DEVGATE_SOCKET=str(tmp_path / "nobody"),
    )  # fmt: skip
    assert printed.startswith("refund: no" if name.startswith("socket") else ASK_AGAIN)
