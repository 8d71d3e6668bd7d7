"""`devgate simulate` as a program."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from functools import partial
from typing import Any

import pytest
import trio

from devgate.simulator.options import FIRST_IMEI
from tests.simulator.server import serving

COMMAND = [sys.executable, "-m", "devgate", "simulate"]


def run(*args: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """It, in a shell that has run `before`."""
    script = f'{before}\nexec "$@"'
    return subprocess.run(
        ["sh", "-c", script, "sh", *COMMAND, *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_with_a_summary(end: signal.Signals) -> None:
    async with serving() as server, trio.open_nursery() as nursery:
        host, port = server.target
        command = [*COMMAND, f"{host}:{port}", "--count", "5", "--delay", "0", "--seed", "1"]
        output = bytearray()

        async def follow(process: trio.Process) -> None:
            assert process.stdout is not None, "it is a pipe"
            async with process.stdout as stdout:
                async for part in stdout:
                    output.extend(part)

        start = partial(trio.run_process, command, stdout=subprocess.PIPE)
        process: trio.Process = await nursery.start(start)
        nursery.start_soon(follow, process)
        await server.until(5, "000", "QR")
        await server.order(FIRST_IMEI, "QD", b"500")
        await server.until(1, "200", "QD")
        process.send_signal(end)
        assert await process.wait() == 0
    last = output.decode().splitlines()[-1]
    assert last.startswith("5 devices in ")
    assert "starts 1, stops 0, results 1" in last


async def test_json_is_one_object_a_line() -> None:
    async with serving() as server:
        host, port = server.target
        command = [*COMMAND, f"{host}:{port}", "--count", "2", "--for", "0.5", "--json"]
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True)
    looks: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.stderr == b""
    assert looks[-1]["type"] == "summary"
    assert {"connected", "registered", "running", "starts", "heartbeats"} < looks[-1].keys()
    assert (looks[-1]["devices"], looks[-1]["errors"]) == (2, 0)
    assert server.got["000", "HT"] == 2


def test_without_a_gateway_it_goes_on_and_says_why_nothing_happens() -> None:
    done = run("127.0.0.1:1", "--count", "2", "--for", "0.1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("2 devices in 0.")
    assert "Connection refused" in done.stdout


def test_a_fleet_that_does_not_fit_is_refused_with_the_numbers() -> None:
    done = run("--count", "500", before="ulimit -n 300")
    assert done.returncode == 2
    assert done.stderr.startswith("devgate: 500 descriptors are needed")
    assert "limit of 300 (ulimit -Hn)" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    before = "ulimit -Sn 100 && ulimit -Hn 2000"
    done = run("127.0.0.1:1", "--count", "500", "--for", "0.1", before=before)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("here:0",), "a port from 1 to 65535"),
        (("here:port",), '"HOST:PORT" expected'),
        (("--first", "12"), "a string of 15 digits expected"),
        (("--fail", "5"), "0<=x<=1"),
        (("--delay", "2-1"), "the shorter time comes first"),
        (("--delay", "soon"), "'soon' is no duration"),
        (("--for", "ever"), "'ever' is no duration"),
        (("--count", "0"), "x>=1"),
        (("--first", "9" * 15), "IMEIs of more than 15 digits"),
        (("x" * 70 + ":1",), "no address of that name is known"),
    ],
)
def test_a_wrong_argument_is_told(args: tuple[str, ...], said: str) -> None:
    done = run(*args)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" | true', "sh", *COMMAND, "127.0.0.1:1", "--for", "0.1", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""


def test_the_library_is_imported_only_when_it_runs() -> None:
    script = "import sys, devgate.cli.local.simulate; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    loaded = set(done.stdout.decode().split())
    assert not loaded & {"trio", "sqlalchemy", "pydantic", "devgate.simulator"}
    script = "import sys, devgate.simulator.run; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    parts = {name.split(".")[1] for name in done.stdout.decode().split() if "devgate." in name}
    assert parts == {"alarm", "errors", "model", "protocol", "simulator"}, "nothing of the server"
