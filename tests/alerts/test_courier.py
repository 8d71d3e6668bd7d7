"""Messages to real servers, through a process of Apprise."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trio

from devgate.alerts import courier
from devgate.alerts.courier import Courier, Letter, SendResult
from devgate.alerts.messenger import without_secrets
from tests.alerts.mail import mailroom
from tests.webhooks.receiver import SECRET, Answer, receiving

LETTER = Letter("01KAY6H2V8Q4M3N5P7R9S1T2W3", "fired", "设备离线: <16>", "Line & one\n- Chair 16")


@pytest.fixture(autouse=True)
def busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of a message may take longer than 30 s where many tests run at once."""
    monkeypatch.setattr(courier, "TIMEOUT_SECONDS", 120)


async def test_a_mail_arrives() -> None:
    with mailroom() as room:
        result = await Courier(allow_private=True).send(room.url, "", LETTER)
        assert result == SendResult(True, "it took the message")
        [mail] = room.got
    assert mail["subject"] == LETTER.title
    assert "anna@example.com" in mail["to"]
    assert "Chair 16" in room.text()


async def test_a_server_that_refuses_is_named() -> None:
    with mailroom("554 no") as room:
        result = await Courier(allow_private=True).send(room.url, "", LETTER)
    assert not result.ok
    assert result.text
    assert "anna@example.com" not in result.text


async def test_private_addresses_are_refused_whatever_a_name_says() -> None:
    with mailroom() as room:
        for host in ("127.0.0.1", "localhost"):
            url = room.url.replace("127.0.0.1", host)
            result = await Courier(allow_private=False).send(url, "", LETTER)
            assert "not a public address; set [control] private_webhooks" in result.text
        assert room.got == []


async def test_no_url_reads_a_file() -> None:
    url = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?template=/etc/hostname"
    result = await Courier(allow_private=True).send(url, "", LETTER)
    assert result == SendResult(False, "a message may not open files")


async def test_a_look_at_a_url_hides_its_secrets() -> None:
    post = Courier(allow_private=False)
    found = await post.look("mailtos://user:verysecret@smtp.example.com?to=a@example.com")
    assert found.ok
    assert found.text == "E-Mail"
    assert found.shown.startswith("mailtos://user:****@smtp.example.com")
    wrong = await post.look("tgram://verysecret")
    assert not wrong.ok
    assert "verysecret" not in wrong.text


async def test_who_hangs_delays_nobody_and_is_ended_with_its_caller() -> None:
    listener = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener[0].socket.getsockname()[1]
    post, done = Courier(allow_private=True), []

    async def send() -> None:
        url = f"mailto://127.0.0.1:{port}?from=gate@example.com&to=anna@example.com"
        done.append(await post.send(url, "", LETTER))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        with trio.fail_after(120):
            stream = await listener[0].accept()  # and never answers
            with mailroom() as room:
                assert (await post.send(room.url, "", LETTER)).ok
            assert done == []
            nursery.cancel_scope.cancel()
    with trio.fail_after(60):
        assert await stream.receive_some() == b""  # the process is gone
    await stream.aclose()
    await listener[0].aclose()


async def test_what_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "TIMEOUT_SECONDS", 0.5)
    listener = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener[0].socket.getsockname()[1]
    url = f"mailto://127.0.0.1:{port}?from=gate@example.com&to=anna@example.com"
    result = await Courier(allow_private=True).send(url, "", LETTER)
    assert result == SendResult(False, "it took longer than 0.5 s", slow=True)
    await listener[0].aclose()


@contextmanager
def endless() -> Iterator[tuple[str, list[int]]]:
    """A server that answers with up to 4 GB. Gives the URL of its receiver, and how many bytes of
    that it could send."""
    sent: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):  # it has read enough
                while sum(sent) < 4 << 30:
                    sent.append(self.wfile.write(bytes(1 << 20)))

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        try:
            yield f"gotify://127.0.0.1:{server.server_address[1]}/AbCdEfGhIjKlMnO", sent
        finally:
            server.shutdown()
            serving.join()


FORBIDDEN = """
import os
from devgate.alerts import messenger
def forbidden(by):
    raise PermissionError("as a service of systemd")
os.nice = forbidden
messenger.main()
"""


@pytest.mark.parametrize("program", [["-m", "devgate.alerts.messenger"], ["-c", FORBIDDEN]])
async def test_an_answer_without_end_takes_no_memory_without_end(program: list[str]) -> None:
    with endless() as (url, sent):
        request = {
            "url": url, "allow_private": True, "permit": "", "title": "t", "text": "t",
            "kind": "info",
        }  # fmt: skip
        done = await trio.run_process(
            [sys.executable, "-P", *program], stdin=json.dumps(request).encode(),
            capture_stdout=True,
        )  # fmt: skip
    assert not json.loads(done.stdout)["ok"]
    assert sum(sent) < 512 << 20, "it had no room for more"


async def test_a_webhook_gets_it_signed() -> None:
    with receiving() as receiver:
        post = Courier(allow_private=True)
        assert (await post.send(receiver.url(), SECRET, LETTER)).ok
        [got] = receiver.taken
        assert got.genuine
        assert got.id == f"alert_{LETTER.id}"
        told = json.loads(got.body)
        assert told["type"] == "alert.fired"
        assert (told["data"]["title"], told["data"]["text"]) == (LETTER.title, LETTER.text)
        receiver.behave = lambda got: Answer(500)
        assert await post.send(receiver.url(), SECRET, LETTER) == SendResult(
            False, "it answered 500"
        )
        guarded = Courier(allow_private=False)
        refused = await guarded.send(receiver.url(), SECRET, LETTER)
        assert "not a public address" in refused.text


def test_what_a_receiver_says_can_be_stored() -> None:
    assert courier._plain("a\0b\ud800\n王芳 😀") == "a\ufffdb\ufffd\ufffd王芳 😀"


def test_secrets_of_a_url_are_in_no_sentence() -> None:
    hide = partial(without_secrets, url="slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdn?x=p%40ssword1")
    assert hide("TIiajkdn at A1BRTD4JD: 404") == "... at ...: 404"
    assert "ssword1" not in hide("the password p@ssword1 is wrong")
