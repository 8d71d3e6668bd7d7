"""The real gateway, its command line, and a receiver."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devgate.cli.webhooks import _listed
from devgate.config.load import load
from devgate.errors import SetupError
from devgate.process import check
from tests.e2e.caller import Robot, eventually
from tests.e2e.harness import SAMPLE, Gateway
from tests.webhooks.receiver import SECRET, Answer, Receiver, receiving

WEBHOOK = """
[[webhook]]
url = "{url}"
secret_file = "shop.secret"
name = "{name}"
allow_private = true
"""


def configure(running: Gateway, *webhooks: tuple[str, str]) -> None:
    """Add webhooks, by their names and URLs."""
    (running.folder / "shop.secret").write_text(f"{SECRET}\n")
    with (running.folder / "gateway.toml").open("a") as file:
        for name, url in webhooks:
            file.write(WEBHOOK.format(name=name, url=url))


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Gateway, Receiver]]:
    """A gateway with one device and one webhook."""
    with receiving() as receiver:
        served = Gateway()
        configure(served, ("shop", receiver.url("/hook?hush")))
        try:
            served.fill(())
            served.start()
            served.add_devices([{"imei": SAMPLE}])
            receiver.wait(lambda r: "device.added" in types(r))  # that is an event, too
            yield served, receiver
            served.terminate()
            assert "Traceback" not in served.log(), served.log()
        finally:
            if served.process is not None and served.process.poll() is None:
                served.process.kill()
                served.process.wait()
            shutil.rmtree(served.folder)


@pytest.fixture
def served(running: tuple[Gateway, Receiver]) -> Gateway:
    """The same, when all was delivered."""
    served, receiver = running
    eventually(lambda: position(served), lambda n: n == last(served))
    receiver.behave = lambda got: Answer()
    receiver.taken.clear()
    return served


@pytest.fixture
def receiver(running: tuple[Gateway, Receiver]) -> Receiver:
    return running[1]


def types(receiver: Receiver) -> list[str]:
    return [got.event["type"] for got in receiver.taken]


def position(served: Gateway) -> int:
    number: int = served.ask({"type": "webhooks"})["items"][0]["position"]
    return number


def last(served: Gateway) -> int:
    number: int = served.ask({"type": "status"})["last_event"]
    return number


def test_a_commands_life_is_posted_in_order(served: Gateway, receiver: Receiver) -> None:
    with Robot(served, SAMPLE):
        assert served.ask({"type": "start", "imei": SAMPLE, "long": 5})["status"] == "200"
        receiver.wait(lambda r: "command.ended" in types(r))
    assert types(receiver) == [
        "device.online", "command.accepted", "command.sent", "command.ended",
    ]  # fmt: skip
    assert all(got.genuine for got in receiver.taken)
    ended = receiver.taken[-1].event
    assert (ended["imei"], ended["status"]) == (SAMPLE, "200")


def test_the_list_says_how_far_it_has_come(served: Gateway, receiver: Receiver) -> None:
    # The device of another test may have gone a moment ago.
    with served.register(SAMPLE):
        receiver.wait(lambda r: "device.online" in types(r))
    receiver.wait(lambda r: types(r)[-1] == "device.offline")  # nothing more will happen
    eventually(lambda: position(served), lambda n: n == last(served))
    [item] = served.ask({"type": "webhooks"})["items"]
    assert {key: item[key] for key in ("name", "url", "state", "lag", "behind", "error")} == {
        "name": "shop", "url": receiver.url("/hook"), "state": "ok", "lag": 0, "behind": 0.0,
        "error": None,
    }  # fmt: skip
    shown = served.cli("webhooks", "list")
    assert shown.stdout.splitlines()[0].split()[:4] == ["NAME", "STATE", "POSITION", "LAG"]
    assert shown.stdout.splitlines()[1].split()[:2] == ["shop", "ok"]
    assert "hush" not in shown.stdout
    assert json.loads(served.cli("webhooks", "list", "--json").stdout)["items"] == [item]


def test_test_and_replay(served: Gateway, receiver: Receiver) -> None:
    done = served.cli("webhooks", "test")
    assert (done.returncode, done.stdout) == (0, "shop took the test: it answered 204\n")
    [got] = receiver.taken
    assert json.loads(got.body)["type"] == "webhook.test"
    done = served.cli("webhooks", "replay", "shop", "--after", "0")
    assert done.returncode == 0
    receiver.wait(lambda r: len(r.taken) > 1)
    assert receiver.taken[1].event["type"] == "device.added"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("test", "shoq"), "name: one of shop expected, not 'shoq'"),
        (("replay", "shop", "--after", "99999"), "after: the number of an event, up to "),
    ],
)
def test_what_cannot_be_done_is_said(
    served: Gateway, arguments: tuple[str, ...], said: str
) -> None:
    done = served.cli("webhooks", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"devgate: {said}")


def test_a_test_that_fails_says_why(served: Gateway, receiver: Receiver) -> None:
    receiver.behave = lambda got: Answer(500)
    done = served.cli("webhooks", "test", "shop")
    assert done.returncode == 12
    assert done.stderr == "devgate: shop did not take the test: it answered 500\n"


def test_a_secret_that_is_changed_in_its_file_signs(served: Gateway, receiver: Receiver) -> None:
    file = served.folder / "shop.secret"
    other = "whsec_" + base64.b64encode(bytes(32)).decode()
    for times, (secret, genuine) in enumerate(((other, False), (SECRET, True)), 1):
        file.write_text(secret)
        served.signal(signal.SIGHUP)
        eventually(lambda: served.log().count("webhook secret renewed"), times.__eq__)
        assert served.cli("webhooks", "test", "shop").returncode == 0
        assert receiver.taken[-1].genuine is genuine


def test_without_webhooks_the_words_say_what_to_do() -> None:
    assert "add a [[webhook]]" in _listed({"status": "200", "items": []})


@pytest.mark.parametrize(
    ("secret", "events", "said"),
    [
        ("hush", "", "whsec_ and 24 to 64 random bytes in base64 expected"),
        (None, "", "shop.secret: can't be read: No such file or directory"),
        (SECRET, 'events = ["device.onlin"]\n', "events: no event is called 'device.onlin'"),
    ],
)
def test_what_cannot_be_used_is_said_before_it_is_served(
    tmp_path: Path, secret: str | None, events: str, said: str
) -> None:
    if secret is not None:
        (tmp_path / "shop.secret").write_text(secret)
    file = tmp_path / "gateway.toml"
    file.write_text(WEBHOOK.format(name="shop", url="https://shop.example/hook") + events)
    with pytest.raises(SetupError, match=re.escape(said)) as err:
        check(load(file, {}))
    assert "hush" not in str(err.value)


def test_random_failures_and_kills_of_both_ends() -> None:
    """scripts/webhooks-crash, for a moment; at its full length it has 2,000 commands."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "crashing.webhooks", "--commands", "150", "--kills", "1",
         "--devices", "30", "--failing", "8"],
        capture_output=True, text=True, timeout=150,
        env={**os.environ, "PYTHONPATH": f"{root / 'scripts'}:{root}", "TMPDIR": "/tmp"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nlost: 0\nout of order: 0\nforged: 0\n" in done.stdout
