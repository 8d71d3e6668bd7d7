"""Webhooks that are added by command: the real gateway, its command line, and a receiver."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from devgate.config.webhook import key_of
from tests.e2e.caller import eventually
from tests.e2e.harness import SAMPLE, Gateway, gateway
from tests.webhooks.receiver import SECRET, Answer, Got, Receiver, receiving
from tests.webhooks.test_gateway import configure, last

PRIVATE = {"control": {"private_webhooks": True}}
SECRET_LINE = re.compile(r"secret (whsec_\S+)  \(shown this once: its receiver needs it\)")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@contextmanager
def permitted(store: str = "sqlite:///devgate.db") -> Iterator[Gateway]:
    """A gateway with one device, an event of it, and webhooks that may be on this machine."""
    with gateway(PRIVATE, store=store, devices=()) as served:
        served.add_devices([{"imei": SAMPLE}])
        yield served


@pytest.fixture
def served() -> Iterator[Gateway]:
    with permitted() as running:
        yield running


def added(served: Gateway, receiver: Receiver, *more: str, name: str = "shop") -> str:
    """Add one by the command line. Returns what that said."""
    done = served.cli("webhooks", "add", name, receiver.url("/hook?token=hush"), *more)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def items(served: Gateway) -> dict[str, dict[str, object]]:
    return {item["name"]: item for item in served.ask({"type": "webhooks"})["items"]}


def test_one_is_in_force_at_once_and_after_a_restart(
    database_url: str, receiver: Receiver
) -> None:
    with permitted(database_url) as served:
        # The event of the import is posted behind its reply.
        number = eventually(lambda: last(served), lambda found: found > 0)
        said = added(served, receiver).splitlines()
        assert said[0] == f"added shop; it gets every event after {number}"
        match = SECRET_LINE.fullmatch(said[1])
        assert match
        assert len(key_of(match[1])) == 32
        served.register(SAMPLE).close()
        receiver.wait(lambda r: len(r.taken) == 2)
        # From now on; that it was added is an event, too, which it has not asked for by name.
        assert receiver.taken[0].event["event"] == number + 2
        eventually(lambda: items(served)["shop"]["lag"], lambda n: n == 0)
        served.terminate()
        served.start()
        assert items(served)["shop"]["kept_in"] == "database"
        served.register(SAMPLE).close()
        receiver.wait(lambda r: len(r.taken) == 4)
        assert receiver.numbers() == list(range(number + 2, number + 6)), "nothing twice"
        for shown in (served.cli("webhooks", "list", "--json").stdout, served.log()):
            assert "shop" in shown
            assert match[1] not in shown
            assert "hush" not in shown
        assert json.loads(served.cli("webhooks", "remove", "shop", "--yes", "--json").stdout) == {
            "status": "200", "message": "removed shop; it gets nothing more", "name": "shop",
        }  # fmt: skip
        served.register(SAMPLE).close()
        served.terminate()
        served.start()
        assert items(served) == {}
        assert len(receiver.got) == 4


def test_a_secret_of_ones_own_is_not_told_again(served: Gateway, receiver: Receiver) -> None:
    (served.folder / "own").write_text(f"{SECRET}\n")
    said = added(served, receiver, "--secret-file", "own", "--events", "command, device.online",
                 "--after", "0")  # fmt: skip
    assert said == "added shop; it gets every event after 0\n"
    assert items(served)["shop"]["events"] == ["command", "device.online"]
    served.register(SAMPLE).close()
    receiver.wait(lambda r: len(r.taken) == 1)
    [got] = receiver.taken
    assert (got.event["type"], got.genuine, got.path) == (
        "device.online", True, "/hook?token=hush",
    )  # fmt: skip


def test_an_edit_goes_on_where_it_was(served: Gateway, receiver: Receiver) -> None:
    added(served, receiver, "--after", "0")
    receiver.wait(lambda r: len(r.taken) == 1)
    eventually(lambda: items(served)["shop"]["lag"], lambda n: n == 0)
    with receiving() as other:
        done = served.cli("webhooks", "edit", "shop", "--url", other.url(), "--new-secret")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("changed shop; it is ok\nsecret whsec_")
        done = served.cli("webhooks", "edit", "shop", "--events", "device.offline")
        assert done.stdout == "changed shop; it is ok\n"
        served.register(SAMPLE).close()
        other.wait(lambda r: len(r.taken) == 1)
        assert other.taken[0].event["type"] == "device.offline"
        assert items(served)["shop"]["url"] == other.url()
        assert served.cli("webhooks", "edit", "shop", "--events", "").returncode == 0
        assert items(served)["shop"]["events"] == []
    assert len(receiver.taken) == 1


def test_a_disabled_one_is_put_back_to_work(served: Gateway, receiver: Receiver) -> None:
    gone = threading.Event()
    gone.set()

    def behave(got: Got) -> Answer:
        return Answer(410 if gone.is_set() else 204)

    receiver.behave = behave
    added(served, receiver, "--after", "0")
    eventually(lambda: items(served)["shop"]["state"], lambda state: state == "disabled")
    gone.clear()
    done = served.cli("webhooks", "enable", "shop")
    assert (done.returncode, done.stdout) == (0, "changed shop; it is ok\n")
    receiver.wait(lambda r: len(r.taken) == 1)
    done = served.cli("webhooks", "disable", "shop")
    assert (done.returncode, done.stdout) == (0, "changed shop; it is disabled\n")
    served.terminate()
    served.start()
    assert items(served)["shop"]["error"] == "disabled by hand"


def test_those_of_the_configuration_stay_there(receiver: Receiver) -> None:
    served = Gateway(PRIVATE)
    configure(served, ("desk", receiver.url()))
    with gateway_of(served):
        for words, said in (
            (
                ("remove", "desk", "--yes"),
                "desk is a [[webhook]] of gateway.toml: remove it",
            ),
            (("edit", "desk", "--events", "command"), "desk is a [[webhook]] of gateway.toml: ch"),
            (("add", "desk", receiver.url()), "name: desk is a [[webhook]] of gateway.toml"),
        ):
            done = served.cli("webhooks", *words)
            assert done.returncode == 9
            assert done.stderr.startswith(f"devgate: {said}")
        assert items(served)["desk"]["kept_in"] == "gateway.toml"
        assert served.cli("webhooks", "disable", "desk").returncode == 0, "but it may be held up"
        assert served.cli("webhooks", "enable", "desk").returncode == 0
        # A name that is given to both is refused when the gateway starts.
        added(served, receiver)
        served.terminate()
        configure(served, ("shop", receiver.url()))
        served.launch()
        assert served.wait() == 2
        assert "[[webhook]] shop: a webhook of that name was added by command" in served.log()


def test_one_whose_key_file_is_missing_is_listed_and_says_why(receiver: Receiver) -> None:
    """As at a node of a cluster that has no copy of it: it was in no list, only in the log."""
    with gateway({"control": {"private_webhooks": True}}) as served:
        added(served, receiver, "--events", "command")
        served.terminate()
        key = served.folder / "devgate.db.key"
        key.rename(served.folder / "elsewhere")
        served.start()
        item = items(served)["shop"]
        assert (item["state"], item["events"], item["kept_in"]) == (
            "unusable", ["command"], "database",
        )  # fmt: skip
        assert item["url"] == receiver.url("/hook")
        why = f"the key file {key} is missing, and secrets were encrypted with it: restore it"
        assert str(item["error"]).startswith(why)
        shown = served.cli("webhooks", "list").stdout
        assert f"unusable  {item['position']}" in shown
        assert why in shown
        for words in (("test", "shop"), ("edit", "shop", "--events", "device")):
            done = served.cli("webhooks", *words)
            assert (done.returncode, why in done.stderr) == (9, True), done.stderr
        assert [one["name"] for one in served.ask({"type": "fleet"})["attention"]
                if one["kind"] == "webhook"] == ["shop"]  # fmt: skip
        (served.folder / "elsewhere").rename(key)
        served.terminate()
        served.start()
        assert items(served)["shop"]["state"] == "ok"
        key.unlink()
        served.terminate()
        served.start()
        assert served.cli("webhooks", "remove", "shop", "--yes").returncode == 0
        assert items(served) == {}


@contextmanager
def gateway_of(served: Gateway) -> Iterator[None]:
    """Start one that was made with a configuration of its own, and end it."""
    try:
        served.start()
        yield
    finally:
        if served.process is not None and served.process.poll() is None:
            served.kill()
        shutil.rmtree(served.folder)


def test_private_addresses_are_for_the_configuration_to_permit(receiver: Receiver) -> None:
    with gateway() as served:
        for url in (receiver.url(), "https://10.0.0.1/", "https://[::1]:8/", "http://localhost/"):
            done = served.cli("webhooks", "add", "shop", url)
            assert done.returncode == 2
            assert "not a public address; set [control] private_webhooks = true" in done.stderr
        # A name is judged by what it is resolved to, whenever it is connected to.
        name = f"http://127.1:{receiver.port}/"
        assert served.cli("webhooks", "add", "shop", name).returncode == 0
        done = served.cli("webhooks", "test", "shop")
        assert done.returncode == 12
        assert "127.0.0.1, which is not a public address; set [control] private" in done.stderr
        assert receiver.connections == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("add", "a b", "https://a.example/"), 2, "name: 1 to 64 letters"),
        (("add", "a", "ftp://a.example/"), 2, 'url: "https://HOST/PATH" expected'),
        (("add", "a", "https://u:hush@a.example/"), 2, "url: a URL without a user"),
        (("add", "a", "https://a.example/", "--events", "device.onlin"), 2, "events: no event"),
        (("add", "a", "https://a.example/", "--after", "9999"), 2, "after: the number of an"),
        (("add", "a", "https://a.example/", "--secret-file", "short"), 2, "secret: whsec_ and"),
        (("add", "a", "https://a.example/", "--secret-file", "empty"), 2, "--secret-file empty"),
        (("edit", "none", "--events", "command"), 2, "there is no webhook: `devgate webhooks add"),
        (("enable", "none"), 2, "there is no webhook: `devgate webhooks add NAME URL` adds one"),
        (
            ("remove", "none", "--yes"),
            2,
            "there is no webhook: `devgate webhooks add NAME URL` adds one",
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    empty: Gateway, words: tuple[str, ...], code: int, said: str
) -> None:
    done = empty.cli("webhooks", *words)
    assert done.returncode == code
    assert done.stderr.startswith(f"devgate: {said}")
    assert "hush" not in done.stderr


@pytest.fixture(scope="module")
def empty() -> Iterator[Gateway]:
    with gateway(files={"short": b"whsec_hush", "empty": b"\n"}) as running:
        yield running


def test_a_name_is_given_once(empty: Gateway) -> None:
    words = ("webhooks", "add", "twice", "https://shop.example/")
    try:
        assert empty.cli(*words).returncode == 0
        done = empty.cli(*words)
        assert done.returncode == 9
        assert done.stderr == (
            "devgate: name: there is a webhook twice already; edit or remove it\n"
        )
    finally:
        empty.cli("webhooks", "remove", "twice", "--yes")


def test_without_a_gateway_nothing_is_done() -> None:
    served = Gateway()
    done = served.cli("webhooks", "add", "shop", "https://shop.example/")
    assert done.returncode == 13
    assert done.stderr.startswith("devgate: no gateway answers at ")
