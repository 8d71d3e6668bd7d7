from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from devgate.cli.batch import MAX_IN_FLIGHT
from devgate.cli.main import cli
from tests.cli.answering import IMEI, OTHER, Answering, Reply, Request, started
from tests.cli.conftest import Run, Spawn
from tests.e2e.device import WAIT_SECONDS


def test_a_batch_gives_a_line_each_and_0(run: Run, gateway: Answering) -> None:
    got = run(
        "start", "--from", "-", "--timeout", "5", input=f"{IMEI},500,k\n\n{OTHER},1m\n".encode()
    )
    assert (got.exit_code, got.stderr) == (0, "")
    assert sorted(got.stdout.splitlines()) == [
        f"line 1: {IMEI} 200 started (command 01K3Z6T5A9Q8W7E6R5T4Y3U2I1)",
        f"line 3: {OTHER} 200 started (command 01K3Z6T5A9Q8W7E6R5T4Y3U2I1)",
    ]
    assert gateway.requests[1].pop("key").startswith("cli-"), "one of its own"
    assert gateway.requests == [
        {"imei": IMEI, "type": "start", "long": 500, "key": "k", "timeout": 5, "id": 1},
        {"imei": OTHER, "type": "start", "long": 60, "unit": "seconds", "timeout": 5, "id": 3},
    ]


def test_bad_lines_are_reported_before_anything_is_sent(
    run: Run, gateway: Answering, tmp_path: Path
) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(f"{IMEI},500\n{IMEI},soon\n{OTHER}\n")
    got = run("start", "--from", str(file))
    assert (got.exit_code, got.stdout, gateway.requests) == (2, "", [])
    assert got.stderr.splitlines() == [
        f"devgate: {file} line 2: long: 'soon' is no duration; write 500, 15m or 1h30m",
        f"devgate: {file} line 3: long: a number or a duration expected, not nothing",
        f"devgate: {file}: 2 of 3 lines are bad; nothing was sent",
    ]


def test_the_exit_code_is_that_of_the_first_line_that_failed(run: Run, gateway: Answering) -> None:
    def answer(request: Request) -> list[Reply]:
        return [
            {"status": {1: "200", 2: "404", 3: "408", 4: "404"}[request["id"]], "message": "m"}
        ]

    gateway.answer = answer
    lines = "".join(f"{number:015},5\n" for number in range(4))
    got = run("start", "--from", "-", "--json", input=lines.encode())
    assert got.exit_code == 6
    printed = [json.loads(line) for line in got.stdout.splitlines()]
    assert sorted((line["line"], line["status"]) for line in printed) == [
        (1, "200"), (2, "404"), (3, "408"), (4, "404"),
    ]  # fmt: skip
    assert got.stderr == "devgate: 3 of 4 failed (2 x 404, 1 x 408), first in line 2\n"


def test_one_connection_carries_several_at_once_but_one_for_each_device(
    run: Run, gateway: Answering
) -> None:
    """Replies are held back until the window is full: it fills, and goes no further."""
    held: list[Request] = []
    batch_sizes: list[int] = []

    def answer(request: Request) -> list[Reply]:
        if request["type"] == "status":
            return [{"status": "200"}]  # after 15 s of silence, which a busy machine may have
        held.append(request)
        unsent = 100 - sum(batch_sizes)
        if len(held) < min(MAX_IN_FLIGHT, unsent):
            return []
        assert len({one["imei"] for one in held}) == len(held)
        batch_sizes.append(len(held))
        replies: list[Reply] = [{"status": "200", "message": "m", "id": one["id"]} for one in held]
        held.clear()
        return replies

    gateway.answer = answer
    lines = "".join(f"{number:015},5\n" for number in range(100))
    got = run("start", "--from", "-", input=lines.encode())
    assert got.exit_code == 0
    assert batch_sizes == [32, 32, 32, 4]
    assert [one["type"] for one in gateway.first].count("start") == 1, "one connection"


def test_a_device_gets_its_starts_in_order(run: Run, gateway: Answering) -> None:
    lines = "".join(f"{number % 3:015},{number + 1}\n" for number in range(30))
    assert run("start", "--from", "-", input=lines.encode()).exit_code == 0
    for device in range(3):
        longs = [r["long"] for r in gateway.requests if r["imei"] == f"{device:015}"]
        assert longs == sorted(longs)
        assert len(longs) == 10


def test_a_gateway_that_dies_amid_a_batch(run: Run, gateway: Answering) -> None:
    """Starts that were asked for have an unknown outcome; all others were not sent."""

    def answer(request: Request) -> list[Reply] | None:
        return list(started(request)) if request["id"] == 1 else None

    gateway.answer = answer
    lines = f"{IMEI},1\n{IMEI},2\n{IMEI},3,k\n"
    got = run("start", "--from", "-", "--json", input=lines.encode())
    printed = [json.loads(line) for line in got.stdout.splitlines()]
    assert [(line["line"], line["status"]) for line in printed] == [
        (1, "200"),
        (2, "408"),
        (3, "503"),
    ]
    assert "the outcome is unknown" in printed[1]["message"]
    assert printed[2]["message"].endswith("nothing was sent")
    assert got.exit_code == 7


def test_a_batch_without_a_gateway_is_13(tmp_path: Path) -> None:
    args = ["--socket", str(tmp_path / "none"), "start", "--from", "-"]
    got = CliRunner().invoke(cli, args, input=f"{IMEI},5\n")
    assert (got.exit_code, got.stdout) == (13, "")


def test_ctrl_c_amid_a_batch(spawn: Spawn, gateway: Answering, tmp_path: Path) -> None:
    gateway.answer = lambda request: []
    file = tmp_path / "orders.csv"
    file.write_text(f"{IMEI},1\n{IMEI},2\n")
    process = spawn("start", "--from", str(file))
    assert gateway.asked.wait(60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert out.splitlines() == [
        f"line 1: {IMEI} 408 interrupted; the outcome is unknown: `devgate history {IMEI}` "
        "shows what became of it",
        f"line 2: {IMEI} 503 interrupted; nothing was sent",
    ]


@pytest.mark.parametrize("more", [[IMEI, "500"], ["--key", "k"]])
def test_a_batch_takes_devices_and_keys_from_its_file_alone(run: Run, more: list[str]) -> None:
    got = run("start", "--from", "-", *more, input=b"")
    assert got.exit_code == 2
    assert "names the devices and keys" in got.stderr


def test_an_empty_batch_is_done(run: Run, gateway: Answering) -> None:
    got = run("start", "--from", "-", input=b"imei,long,key\n")
    assert (got.exit_code, got.stdout, gateway.requests) == (0, "", [])
    assert "nothing to start" in got.stderr


def test_a_terminal_gets_a_bar_on_stderr(gateway: Answering, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(f"{IMEI},1\n{OTHER},2\n")
    ours, theirs = pty.openpty()
    drawn: list[bytes] = []

    def drain() -> None:
        try:
            while data := os.read(ours, 1000):
                drawn.append(data)
        except OSError:
            pass  # how a terminal ends, when the last program has left it

    reader = threading.Thread(target=drain)
    reader.start()
    args = [
        sys.executable,
        "-m",
        "devgate",
        "--socket",
        gateway.path,
        "start",
        "--from",
        str(file),
    ]
    done = subprocess.run(
        args, stdout=subprocess.PIPE, stderr=theirs, check=False, timeout=WAIT_SECONDS
    )
    os.close(theirs)
    reader.join(WAIT_SECONDS)
    os.close(ours)
    assert done.returncode == 0
    assert done.stdout.count(b"\n") == 2
    assert b"\x1b" not in done.stdout
    assert b"[###############---------------] 1/2" in b"".join(drawn)
