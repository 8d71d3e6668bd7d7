"""`scripts/upgrade`: the run, its figures, and whether all that has to be 0 is."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from script import Broken
from script import run as run_script

from upgrading.load import Load
from upgrading.waits import longest, upgrades_of
from upgrading.wheels import program

MUST_BE_ZERO = (
    "connections_lost", "callers_lost", "requests_without_an_answer", "frames_that_should_not_be",
    "starts_without_a_reply", "replies_doubled", "starts_lost", "starts_doubled",
    "starts_done_and_not_told", "results_without_a_receipt",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/upgrade", description=__doc__)
    parser.add_argument("--devices", type=int, default=15_000)
    parser.add_argument("--starts", type=float, default=500, help="a second")
    parser.add_argument("--texts", type=float, default=500, help="requests of devices a second")
    parser.add_argument("--upgrades", type=int, default=20)
    parser.add_argument("--callers", type=int, default=32)
    parser.add_argument("--pause", type=float, default=3.0, help="seconds between two upgrades")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dg-"))
    try:
        if options.database == "sqlite":
            report = measure(options, folder, "sqlite:///devgate.db")
        else:
            from tests.postgres import binaries, running

            programs = binaries()
            if programs is None:
                raise Broken("PostgreSQL is not installed")
            with running(programs) as server:
                report = measure(options, folder, server.create_database())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(report, indent=2))
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 1 if any(report[name] for name in MUST_BE_ZERO) else 0


def measure(options: argparse.Namespace, folder: Path, store: str) -> dict[str, object]:
    say("building two wheels")
    programs = [program(version, folder) for version in ("0.1.1", "0.1.2")]
    imeis = [f"86{number:013}" for number in range(options.devices)]
    gateway = folder / "gateway"
    gateway.mkdir()
    (gateway / "gateway.toml").write_text(
        f'[device]\nlisten = "127.0.0.1:0"\n[control]\nsocket = "devgate.sock"\n'
        f'[store]\nurl = "{store}"\n[command]\nmax_long = 10000000\n[service]\nphone = "400"\n'
    )
    rows = "\n".join(f"{imei},{number}" for number, imei in enumerate(imeis, 1))
    (gateway / "devices.csv").write_text(f"imei,id\n{rows}\n")
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    own["DEVGATE_CONFIG"] = str(gateway / "gateway.toml")

    def devgate(which: int, *arguments: str) -> list[str]:
        return [str(programs[which]), *arguments]

    subprocess.run(
        devgate(0, "devices", "import", "devices.csv"), cwd=gateway, env=own, check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    log = (gateway / "log").open("ab")
    first = subprocess.Popen(devgate(0, "serve"), cwd=gateway, env=own, stdout=log, stderr=log)
    pid = first.pid
    try:
        status = wait_for(devgate(0, "status", "--json"), gateway, own)
        host, _, port = status["listen"]["device"][0].rpartition(":")
        load = Load(gateway / "devgate.sock", (host, int(port)), imeis, options.callers)
        load.connect()
        say(f"{len(imeis)} devices are connected")
        replies = []
        load.run(options.starts, options.texts, lambda: True, options.pause)
        for number in range(options.upgrades):
            command = devgate((number + 1) % 2, "upgrade", "--json", "--program")
            command.append(str(programs[(number + 1) % 2]))
            asked = subprocess.Popen(
                command, cwd=gateway, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            load.run(options.starts, options.texts, lambda: asked.poll() is None, 300)  # noqa: B023
            out, err = asked.communicate()
            if asked.returncode:
                say((gateway / "log").read_text()[-3000:])
                raise SystemExit(f"upgrade {number + 1} failed: {out.decode()}{err.decode()}")
            replies.append(json.loads(out))
            pid = replies[-1]["pid"]
            say(
                f"upgrade {number + 1}: {replies[-1]['version']}, "
                f"{replies[-1]['seconds'] * 1000:.0f} ms"
            )
            load.run(options.starts, options.texts, lambda: True, options.pause)
        load.settle(30)
        report = load.report()
        for words in load.unlike[:5]:
            say(words)
        seconds = [reply["seconds"] for reply in replies]
        upgrades = upgrades_of((gateway / "log").read_text())
        return {
            "database": options.database,
            "upgrades": len(replies),
            **report,
            "waited_seconds": seconds,
            "waited_seconds_median": round(statistics.median(seconds), 3),
            "waited_seconds_most": max(seconds),
            "steps": [one.steps for one in upgrades],
            "longest_waits": longest(
                {"request": load.texts, "start": load.waits}, upgrades, load.turns
            ),
            "tracebacks": (gateway / "log").read_text().count("Traceback"),
        }
    finally:
        for one in {pid, first.pid}:
            end(one)
        log.close()


def wait_for(command: list[str], folder: Path, own: dict[str, str]) -> dict[str, Any]:
    until = time.monotonic() + 60
    while True:
        done = subprocess.run(command, cwd=folder, env=own, capture_output=True, check=False)
        if done.returncode == 0:
            found: dict[str, Any] = json.loads(done.stdout)
            return found
        if time.monotonic() > until:
            raise SystemExit(done.stderr.decode())
        time.sleep(0.1)


def end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
        for _ in range(300):
            os.kill(pid, 0)
            time.sleep(0.1)
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def say(words: str) -> None:
    print(f"upgrade: {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_script("upgrade", main)
