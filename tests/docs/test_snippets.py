"""The session and the snippets of the README, run against a real gateway."""

from __future__ import annotations

import base64
import csv
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from devgate.config.webhook import key_of
from devgate.webhooks.signature import signed
from tests.docs.pages import ENGLISH, MANUAL, READMES, Step, blocks, session
from tests.e2e.device import WAIT_SECONDS
from tests.e2e.harness import Gateway, environment, gateway

SITES = ("Central Station", "Riverside Mall", "Airport T2", "North Hospital")
FIRST = 860000000000001
COUNT = 20
# The steps that a newcomer takes before and beside the session itself.
BEFORE = {"scripts/serve --demo 20", ". .venv/bin/activate"}
# What is different each time: to be compared, it gets one name.
VARIES = (
    (r"\b01[0-9A-HJKMNP-TV-Z]{24}\b", "ID"),
    (r"\bcli-[0-9a-f]{20}\b", "OWN"),
    (r"sqlite:///\S+?\.db", "DATABASE"),
    (r"\S+/devgate\.sock", "SOCKET"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "TIME"),
    (r"(?:\d+\.){3}\d+:\d+", "ADDRESS"),
    (r"\d+ (?:d|h|min|s)\b(?: \d+ (?:h|min|s)\b)?", "SPAN"),
    (r"\d+ MiB", "SIZE"),
    (r"^devgate \d+\.\d+\S*,", "devgate VERSION,"),
    (r"(last event|tasks|pid) +\d+", r"\1 N"),
    (r" +", " "),
)


@pytest.fixture(scope="module")
def demo() -> Iterator[Gateway]:
    """What `serve --demo 20` is like, without its dice: here no command fails."""
    settings = {"http": {"listen": "127.0.0.1:0"}, "control": {"tokens": "tokens"}}
    with gateway(settings) as running:
        with (running.folder / "demo.csv").open("w", newline="", encoding="utf-8") as out:
            rows = csv.writer(out)
            rows.writerow(("imei", "name", "site"))
            for n in range(1, COUNT + 1):
                rows.writerow((FIRST + n - 1, f"Massage chair {n}", SITES[n % len(SITES)]))
        assert running.cli("devices", "import", "demo.csv").returncode == 0
        fleet = subprocess.Popen(
            [
                *(sys.executable, "-m", "devgate", "simulate", ":".join(map(str, running.device))),
                *("--count", str(COUNT), "--delay", "0.01-0.05"),
            ],
            cwd=running.folder,
            env=environment(running.folder),
            stdout=subprocess.DEVNULL,
        )
        try:
            running.until(None, "registered", COUNT)
            yield running
        finally:
            fleet.send_signal(signal.SIGINT)
            fleet.wait(WAIT_SECONDS)


def same(lines: Sequence[str]) -> list[str]:
    """What every run prints alike."""
    text = list(lines)
    for pattern, name in VARIES:
        text = [re.sub(pattern, name, line) for line in text]
    return [line.strip() for line in text]


def test_the_session_comes_out_as_it_stands_there(demo: Gateway) -> None:
    steps = [step for step in session(ENGLISH) if step.command not in BEFORE]
    assert steps
    for step in steps:
        program, *arguments = shlex.split(step.command)
        assert program == "devgate"
        done = demo.cli(*arguments)
        came = (done.stdout + done.stderr).splitlines()
        assert Step(step.command, tuple(same(came))) == Step(
            step.command, tuple(same(step.output))
        )


def outcome(demo: Gateway, key: str) -> str:
    """The status of the command with that key, from the gateway itself."""
    reply = demo.ask({"type": "history", "key": key})
    [record] = reply["items"]
    return str(record["status"])


def run(demo: Gateway, command: Sequence[str], text: str) -> str:
    """What a snippet prints, run in the folder that holds run/devgate.sock."""
    done = subprocess.run(
        command, input=text, cwd=demo.folder, env=environment(demo.folder), capture_output=True,
        text=True, timeout=WAIT_SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def php() -> str:
    program = shutil.which("php")
    if program is None:
        pytest.skip("PHP is not installed (Debian: apt-get install php-cli)")
    return program


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_php(demo: Gateway, page: Path) -> None:
    [code] = blocks(page, "php")
    program = php()
    for _ in range(2):
        assert run(demo, [program], code) == "running\n"
    assert outcome(demo, "order-5001") == "200"
    unknown = code.replace("860000000000001", "860000000099999").replace("5001", "5101")
    assert run(demo, [program], unknown).startswith("not started: no device with this IMEI")


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_python(demo: Gateway, page: Path) -> None:
    [code] = blocks(page, "python")
    for _ in range(2):
        assert run(demo, [sys.executable, "-"], code) == "running\n"
    assert outcome(demo, "order-5002") == "200"


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_shell(demo: Gateway, page: Path, tmp_path: Path) -> None:
    if (
        "-U"
        not in subprocess.run(["sh", "-c", "nc -h 2>&1"], capture_output=True, text=True).stdout
    ):
        pytest.skip("no nc with -U (Debian: apt-get install netcat-openbsd)")
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed (Debian: apt-get install jq)")
    devgate = tmp_path / "devgate"
    devgate.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m devgate "$@"\n')
    devgate.chmod(0o755)
    [code] = blocks(page, "sh")
    printed = run(demo, ["sh"], f"PATH={tmp_path}:$PATH\n{code}").splitlines()
    assert [json.loads(line)["message"] for line in printed[:2]] == ["started", "stopped"]
    assert same(printed[2:]) == ["started (command ID)", "running"]
    assert outcome(demo, "order-5003") == outcome(demo, "order-5004") == "200"


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_curl(demo: Gateway, page: Path, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed (Debian: apt-get install curl)")
    devgate = tmp_path / "devgate"
    devgate.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m devgate "$@" 2>/dev/null\n'
    )
    devgate.chmod(0o755)
    [code] = blocks(page, "bash")
    [door] = demo.ask({"type": "status"})["listen"]["http"]
    code = code.replace("127.0.0.1:8080", door).replace("add shop", f"add {page.stem}")
    reply = json.loads(run(demo, ["sh"], f"PATH={tmp_path}:$PATH\n{code}"))
    assert (reply["status"], reply["message"]) == ("200", "started")
    assert outcome(demo, "order-5005") == "200"


def test_the_receiver_in_the_manual_knows_what_is_ours() -> None:
    names: dict[str, Any] = {}
    [code] = blocks(MANUAL, "python")
    exec(code, names)
    secret = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    now = int(time.time())

    def genuine(body: bytes, at: int, said: bytes = b"{}") -> object:
        head = signed(key_of(secret), "evt_1_a", at, said)
        return names["genuine"]({k.decode(): v.decode() for k, v in head.items()}, body, secret)

    assert genuine(b"{}", now) is True
    assert genuine(b"{ }", now) is False
    assert genuine(b"{}", now - 1000) is False, "somebody has kept it and posts it again"
