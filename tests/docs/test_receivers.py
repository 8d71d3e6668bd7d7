"""The receivers of docs/guides/webhooks.md, with events of a real gateway."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from devgate.config.webhook import key_of
from devgate.webhooks.signature import signed
from tests.docs.pages import ROOT
from tests.e2e.caller import Robot, knowing
from tests.e2e.device import WAIT_SECONDS

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
FOLDER = ROOT / "docs" / "examples" / "webhook"
KEY = "order-6001"


def posted(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    request = urllib.request.Request(url, data=body, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as err:
        return err.code


def heads(at: int, body: bytes) -> dict[str, str]:
    head = signed(key_of(SECRET), "evt_of_the_test", at, body)
    return {name.decode(): value.decode() for name, value in head.items()}


@pytest.mark.parametrize("name", ["receive.py", "receive.php"])
def test_a_receiver_keeps_what_is_genuine_once(name: str, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    program = [sys.executable, str(FOLDER / name), str(port)]
    if name.endswith(".php"):
        php = shutil.which("php")
        if php is None:
            pytest.skip("PHP is not installed (Debian: apt-get install php-cli)")
        program = [php, "-S", f"127.0.0.1:{port}", str(FOLDER / name)]
    receiver = subprocess.Popen(
        program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "DEVGATE_WEBHOOK_SECRET": SECRET, "DEVGATE_INBOX": str(inbox)},
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}/"
    try:
        answers(port)
        body, now = b'{"type":"command.late","data":{}}', int(time.time())
        good = heads(now, body)
        assert posted(url, body + b" ", good) == 401, "what was signed is another body"
        assert posted(url, body, heads(now - 1000, body)) == 401, "it was kept and posted again"
        assert posted(url, body, {}) == 401
        assert list(inbox.iterdir()) == []
        assert [posted(url, body, good), posted(url, body, good)] == [204, 204]
        assert [file.read_bytes() for file in inbox.iterdir()] == [body], "the second is the first"

        webhook = {"name": "shop", "url": url, "events": "command.ended", "secret": SECRET}
        with knowing({"control": {"private_webhooks": True}}) as gateway:
            assert gateway.ask({"type": "webhook_add", **webhook})["status"] == "200"
            with Robot(gateway, "860000000000001"):
                order = {"type": "start", "imei": "860000000000001", "long": 5, "key": KEY}
                assert gateway.ask(order)["outcome"] == "done"
                arrived(inbox, 2)
        assert any(KEY.encode() in file.read_bytes() for file in inbox.iterdir())
    finally:
        receiver.kill()
        receiver.wait()


def answers(port: int) -> None:
    """Wait until somebody listens there."""
    ends = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < ends, "the receiver does not start"
            time.sleep(0.05)


def arrived(inbox: Path, count: int) -> None:
    """Wait until this many events are there, each whole."""
    ends = time.monotonic() + WAIT_SECONDS
    while sum(file.stat().st_size > 0 for file in inbox.iterdir()) < count:
        assert time.monotonic() < ends, "the event did not come"
        time.sleep(0.02)
