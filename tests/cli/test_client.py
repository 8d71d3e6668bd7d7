from __future__ import annotations

import grp
import os
import socket
import threading
from pathlib import Path

import pytest

from devgate.control import client
from devgate.control.client import Channel, NoAnswer, NoGateway, ask, exact, stream
from tests.cli.answering import IMEI, Answering, Reply, Request
from tests.cli.conftest import Spawn


def test_a_stream_is_its_reply_and_then_its_events(gateway: Answering) -> None:
    lines: list[Reply] = [{"status": "200"}, {"event": 1}, {"event": 2}]
    gateway.answer = lambda request: lines
    following = stream(gateway.path, {"type": "watch"})
    assert [next(following) for _ in lines] == lines
    following.close()
    assert gateway.gone.wait(60), "leaving the iterator hangs up"


def test_requests_run_side_by_side_on_one_connection(gateway: Answering) -> None:
    with Channel(gateway.path) as channel:
        for number in (1, 2, 3):
            channel.send({"type": "stop", "id": number})
        assert [channel.awaited()["id"] for _ in range(3)] == [1, 2, 3]


def test_more_than_a_socket_holds_is_sent_while_replies_are_read(gateway: Answering) -> None:
    """A gateway stops reading from one who does not read its replies."""
    gateway.answer = lambda request: [{"status": "200", "echo": request["pad"]}]
    count, pad = 300, "x" * 10_000
    data = b'command{"pad":"%s"}' % pad.encode() * count
    assert sum(len(line) > len(pad) for line in exact(gateway.path, data)) == count


def test_a_gateway_that_closes_at_once_is_no_answer(gateway: Answering) -> None:
    gateway.answer = lambda request: None
    for went in (
        lambda: ask(gateway.path, {"type": "status"}),
        lambda: list(exact(gateway.path, b"command{}")),
        lambda: list(stream(gateway.path, {"type": "watch"})),
    ):
        with pytest.raises(NoAnswer, match="went away without an answer"):
            went()


def test_a_gateway_that_dies_within_a_line(folder: Path) -> None:
    _once(folder / "x", b'{"status":"200"')
    with pytest.raises(NoAnswer, match="in the middle of a line"):
        ask(str(folder / "x"), {"type": "status"})


def test_another_program_at_the_socket(folder: Path) -> None:
    _once(folder / "x", b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(NoGateway, match=r"is no devgate gateway: it said 'HTTP/1\.1 400"):
        ask(str(folder / "x"), {"type": "status"})


def test_a_slow_gateway_is_waited_for_while_it_lives(
    gateway: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start is answered only after the gateway has shown twice that it lives."""
    monkeypatch.setattr(client, "PROBE_SECONDS", 0.02)
    probed = threading.Semaphore(0)

    def answer(request: Request) -> list[Reply]:
        if request["type"] == "status":
            probed.release()
        else:
            for _ in range(2):
                assert probed.acquire(timeout=60)
        return [{"status": "200", "type": request["type"]}]

    gateway.answer = answer
    assert ask(gateway.path, {"type": "start"})["type"] == "start"


def test_a_gateway_that_lives_and_does_not_answer_is_left(
    gateway: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PROBE_SECONDS", 0.02)
    gateway.answer = lambda request: [{"status": "200"}] if request["type"] == "status" else []
    with pytest.raises(NoAnswer, match=r"has not answered within 0\.1 s"):
        ask(gateway.path, {"type": "start"}, timeout=0.1)


def test_a_gateway_that_takes_no_connection(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(folder / "full")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(path)
        listener.listen(0)
        first.connect(path)  # and nobody accepts it
        monkeypatch.setattr(client, "CONNECT_SECONDS", 0.05)
        with pytest.raises(NoGateway, match="is stuck: it takes no connection"):
            ask(path, {"type": "status"})
        monkeypatch.setattr(client, "CONNECT_SECONDS", 20)
        first.close()
        threading.Thread(target=_accept_second, args=(listener, b'{"status":"200"}\n')).start()
        assert ask(path, {"type": "status"}) == {"status": "200"}, "when it takes one again"


def _accept_second(listener: socket.socket, says: bytes) -> None:
    connection, _ = listener.accept()
    connection.close()
    caller, _ = listener.accept()
    with caller:
        caller.recv(1000)
        caller.sendall(says)


def _once(path: Path, says: bytes) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        with listener:
            caller, _ = listener.accept()
        with caller:
            caller.recv(1000)
            caller.sendall(says)

    threading.Thread(target=serve, daemon=True).start()


def test_a_socket_file_that_was_left_behind(folder: Path) -> None:
    path = str(folder / "old")
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(path)
    with pytest.raises(NoGateway, match="it has gone and left its socket file"):
        ask(path, {"type": "status"})


def test_a_full_disk_is_a_sentence_and_the_order_is_not_lost(spawn: Spawn) -> None:
    """A confirmed start must not end with a traceback and exit code 1."""
    with Path("/dev/full").open("wb") as full:
        started = spawn("start", IMEI, "500", stdout=full.fileno())
    said = "devgate: the standard output cannot be written: No space left on device\n"
    assert started.communicate()[1] == said
    assert started.returncode == 0, "it was started: the exit code says so"


@pytest.mark.parametrize("asked", [("-h",), ("start", "-h"), ("--version",)])
def test_help_that_cannot_be_written_is_a_sentence(spawn: Spawn, asked: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        process = spawn(*asked, stdout=full.fileno())
    said = "devgate: the standard output cannot be written: No space left on device\n"
    assert process.communicate()[1] == said
    assert process.returncode == 1


def test_a_file_that_is_no_socket(folder: Path) -> None:
    """For example a configuration that is given as --socket: it is not a gateway that died."""
    (folder / "file").touch()
    for path in (folder, folder / "file"):
        with pytest.raises(NoGateway, match="it is no socket; name the gateway's with --socket"):
            ask(str(path), {"type": "status"})


def test_a_path_that_is_too_long(folder: Path) -> None:
    with pytest.raises(NoGateway, match="path too long"):
        ask(str(folder / ("x" * 120)), {"type": "status"})


def test_no_permission_names_the_group(gateway: Answering, folder: Path) -> None:
    os.chmod(gateway.path, 0)
    os.chmod(folder, 0o755)
    group = grp.getgrgid(os.stat(gateway.path).st_gid).gr_name
    root = os.geteuid() == 0
    if root:  # root may open the socket whatever its mode is
        os.seteuid(65534)
    try:
        with pytest.raises(NoGateway, match=rf"no permission .* the group {group} \(mode 0000\)"):
            ask(gateway.path, {"type": "status"})
    finally:
        if root:
            os.seteuid(0)
