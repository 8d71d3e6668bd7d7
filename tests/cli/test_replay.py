from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devgate.cli import replay
from devgate.cli.tapfile import answers, cut
from tests.cli.answering import IMEI, Answering
from tests.cli.conftest import Run
from tests.e2e.device import WAIT_SECONDS

HT = f"023000{IMEI}HT"
ACK = f"023200{IMEI}HT"
QD = f"026000{IMEI}QD500"
DONE = f"023200{IMEI}QD"


def saved_line(at: float, direction: str, data: str, address: str = "1.2.3.4:5") -> str:
    when = f"2025-01-31T12:00:{at:06.3f}Z"
    line = {"at": when, "imei": IMEI, "address": address, "direction": direction, "bytes": data}
    return json.dumps(line)


@pytest.fixture
def port() -> Iterator[int]:
    """A device port that knows every device: it answers HT, and repeats results."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(device: socket.socket) -> None:
        with device:
            while data := device.recv(1000):
                device.sendall(data.replace(b"023000", b"023200"))

    def accept() -> None:
        while True:
            try:
                device, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(device,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield int(listener.getsockname()[1])
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(WAIT_SECONDS)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    # The replay waits this long only if an answer is missing.
    monkeypatch.setattr(replay, "ANSWER_SECONDS", WAIT_SECONDS)
    monkeypatch.setattr(replay, "SURPLUS_SECONDS", 0.01)


def saved(folder: Path, *lines: str) -> str:
    file = folder / "tap.jsonl"
    file.write_text("".join(line + "\n" for line in lines))
    return str(file)


@pytest.mark.parametrize("fast", [False, True])
def test_what_comes_back_as_saved_is_0(
    run: Run, port: int, tmp_path: Path, quick: None, fast: bool
) -> None:
    file = saved(
        tmp_path,
        saved_line(0, "in", HT),
        saved_line(0.001, "out", ACK),
        saved_line(0.002, "out", QD),  # a command of a caller: nobody asks for it again
        saved_line(0.05, "in", DONE),
        saved_line(0.051, "out", DONE),
    )
    got = run("replay", file, f"127.0.0.1:{port}", *["--fast"] * fast)
    assert (got.exit_code, got.stderr) == (0, "")
    lines = got.stdout.splitlines()
    assert [line.split(" s  ")[1] for line in lines[:4]] == [
        f"in   {HT}", f"out  {ACK}", f"in   {DONE}", f"out  {DONE}",
    ]  # fmt: skip
    assert lines[4] == "the same as saved: 2 frames came back"


@pytest.mark.parametrize(
    ("out", "words"),
    [
        (["006404"], f"frame 1 is {ACK}, and 006404 was saved"),
        ([ACK, "006404"], "frame 2 is nothing, and 006404 was saved"),
        ([], f"frame 1 is {ACK}, and nothing was saved"),
    ],
)
def test_what_comes_back_differently_is_1(
    run: Run,
    port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    out: list[str],
    words: str,
) -> None:
    monkeypatch.setattr(replay, "ANSWER_SECONDS", 1)
    monkeypatch.setattr(replay, "SURPLUS_SECONDS", 1)
    file = saved(
        tmp_path, saved_line(0, "in", HT), *(saved_line(0, "out", frame) for frame in out)
    )
    got = run("replay", file, f"127.0.0.1:{port}")
    assert (got.exit_code, got.stderr) == (1, f"devgate: different: {words}\n")


@pytest.mark.parametrize("first", [[], [saved_line(0, "out", QD)]])
def test_a_tap_that_missed_the_registration_registers(
    run: Run, port: int, tmp_path: Path, quick: None, first: list[str]
) -> None:
    file = saved(tmp_path, *first, saved_line(0.01, "in", DONE), saved_line(0.02, "out", DONE))
    got = run("replay", file, f"127.0.0.1:{port}", "--fast", "--json")
    printed = [json.loads(line) for line in got.stdout.splitlines()]
    assert [line["bytes"] for line in printed[:-1] if line["direction"] == "in"] == [HT, DONE]
    assert printed[-1] == {"same": True, "frames": 2, "difference": None}


def test_connections_are_played_side_by_side(
    run: Run, port: int, tmp_path: Path, quick: None
) -> None:
    file = saved(
        tmp_path,
        saved_line(0, "in", HT, "1.1.1.1:1"),
        saved_line(0, "in", HT, "2.2.2.2:2"),
        saved_line(0, "out", ACK, "2.2.2.2:2"),
        saved_line(0, "out", ACK, "1.1.1.1:1"),
    )
    got = run("replay", file, f"127.0.0.1:{port}", "--fast", "--json")
    printed = [json.loads(line) for line in got.stdout.splitlines()]
    assert printed[-1] == {"same": True, "frames": 2, "difference": None}
    assert {(line["line"], line["direction"], line["bytes"]) for line in printed[:-1]} == {
        (number, *way) for number in (1, 2) for way in (("in", HT), ("out", ACK))
    }


def test_the_device_port_is_asked_of_the_gateway(
    run: Run, gateway: Answering, port: int, tmp_path: Path, quick: None
) -> None:
    gateway.answer = lambda request: [{"status": "200", "listen": {"device": [f"0.0.0.0:{port}"]}}]
    file = saved(tmp_path, saved_line(0, "in", HT), saved_line(0, "out", ACK), '{"missed": 2}')
    got = run("replay", file)
    assert got.exit_code == 0
    assert "2 frames were missed" in got.stderr
    assert gateway.requests == [{"type": "status"}]


def test_no_device_port_is_13(run: Run, tmp_path: Path) -> None:
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{bound.getsockname()[1]}"
        got = run("replay", saved(tmp_path, saved_line(0, "in", HT)), target)
    assert got.exit_code == 13
    assert got.stderr.startswith(f"devgate: no gateway takes devices at {target}: ")


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "{}",
        '{"missed": []}',
        saved_line(0, "in", HT).replace("2025", "x"),
        saved_line(0, "in", HT).replace(IMEI, "1"),
        "\u4e2d",
    ],
)
def test_what_is_no_tap_is_2_with_its_line(run: Run, tmp_path: Path, line: str) -> None:
    got = run("replay", saved(tmp_path, saved_line(0, "in", HT), line), "127.0.0.1:1")
    assert (got.exit_code, got.stdout) == (2, "")
    assert "tap.jsonl line 2: a line of `devgate tap --save` expected" in got.stderr


@pytest.mark.parametrize("target", ["here", "1.2.3.4:", ":0", "1.2.3.4:99999", "h:x"])
def test_what_is_no_target(run: Run, tmp_path: Path, target: str) -> None:
    assert run("replay", saved(tmp_path, saved_line(0, "in", HT)), target).exit_code == 2


def test_a_tap_without_a_word_of_the_device(run: Run, tmp_path: Path) -> None:
    got = run("replay", saved(tmp_path, saved_line(0, "out", ACK)), "127.0.0.1:1")
    assert (got.exit_code, "nothing that a device sent" in got.stderr) == (2, True)


frames = st.sampled_from([b"006404", ACK.encode(), QD.encode(), b"035200" + b"x" * 29])


@given(st.lists(frames), st.data())
def test_frames_are_cut_the_same_however_they_come(
    wires: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(wires)
    at = data.draw(st.integers(0, len(stream)))
    first, tail = cut(stream[:at])
    second, second_tail = cut(tail + stream[at:])
    assert (first + second, second_tail) == (wires, b"")
    assert answers(wires) == [wire for wire in wires if wire != QD.encode()]


@given(st.binary(max_size=100))
def test_any_bytes_are_cut_without_loss(data: bytes) -> None:
    got, tail = cut(data)
    assert b"".join(got) + tail == data
