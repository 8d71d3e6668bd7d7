"""`devgate serve --standby`: real processes on one PostgreSQL, one of which ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Iterator

import psycopg
import pytest

from tests.e2e.caller import Robot, eventually, knowing
from tests.e2e.harness import Gateway, Settings
from tests.postgres import Postgres

READY = '"event": "ready"'
IMEI = "860000000000001"
ORDER = {"imei": IMEI, "type": "start", "long": 77, "key": "order-1"}


@contextlib.contextmanager
def standby(store: str, settings: Settings | None = None) -> Iterator[Gateway]:
    """A gateway with doors of its own that is not started."""
    served = Gateway(settings, store=store)
    try:
        yield served
        assert "Traceback" not in served.log(), served.log()
    finally:
        if served.process is not None and served.process.poll() is None:
            served.process.kill()
            served.process.wait()
        shutil.rmtree(served.folder)


def waits(served: Gateway) -> None:
    served.launch("--standby")
    served.logged("standing by", "another gateway works with the database", "PostgreSQL's process")
    assert not served.socket.exists(), "no door is open"
    assert READY not in served.log()


def serves(served: Gateway) -> None:
    """It has taken over."""
    served.logged("taking over")
    served.logged(READY)
    served.device = address(served)


def address(served: Gateway) -> tuple[str, int]:
    host, _, port = served.ask({"type": "status"})["listen"]["device"][0].rpartition(":")
    return host, int(port)


def test_after_kill_it_takes_over_with_all_that_is_on_record(postgres_url: str) -> None:
    """The order of a device that was away is sent by the standby, once; a spent key starts
    nothing again."""
    with knowing({}, store=postgres_url) as first, standby(postgres_url) as other:
        with Robot(first, IMEI) as device:
            assert first.ask(ORDER)["status"] == "200"
            assert device.seen == ["QD77"]
        deferred = {"imei": IMEI, "type": "start", "long": 5, "key": "order-2", "expires": 600}
        assert first.ask({**deferred, "wait": False})["status"] == "000"
        waits(other)
        first.kill()
        serves(other)
        with Robot(other, IMEI) as device:
            assert other.ask(deferred)["status"] == "200"
            assert other.ask(ORDER)["status"] == "200"
            assert device.seen == ["QD5"]
        events = other.ask({"type": "events", "after": 0, "limit": 1000})["items"]
        assert [event["event"] for event in events] == list(range(1, len(events) + 1))
        other.terminate()


def test_a_command_in_flight_ends_as_unknown_and_its_late_result_counts(postgres_url: str) -> None:
    with knowing({}, store=postgres_url) as first, standby(postgres_url) as other:
        with Robot(first, IMEI, None) as device:
            reply = first.ask({**ORDER, "wait": False})
            eventually(lambda: device.seen, lambda seen: seen == ["QD77"])
            waits(other)
            first.kill()
        serves(other)
        asked = {"type": "command", "command": reply["command"]}
        assert other.ask(asked)["status"] == "408"
        machine = other.register(IMEI)
        machine.send(f"023200{IMEI}QD")
        machine.expect(f"023200{IMEI}QD")
        assert eventually(lambda: other.ask(asked), lambda it: it["status"] == "200")["late"]
        machine.close()
        other.terminate()


def test_after_sigterm_it_takes_over(postgres_url: str) -> None:
    with knowing({}, store=postgres_url) as first, standby(postgres_url) as other:
        waits(other)
        first.terminate()
        serves(other)
        other.terminate()


def test_the_former_one_may_be_the_standby_of_the_standby(postgres_url: str) -> None:
    """Both machines have the same unit: either may be the first to find the database free."""
    with standby(postgres_url) as one, standby(postgres_url) as other:
        one.launch("--standby")
        one.logged(READY)
        waits(other)
        one.kill()
        before = {one: len(one.log()), other: 0}

        def said(gateway: Gateway, words: str) -> bool:
            return words in gateway.log()[before[gateway] :]

        one.launch("--standby")
        eventually(lambda: [one, other], lambda both: any(said(it, READY) for it in both))
        serving, waiting = (one, other) if said(one, READY) else (other, one)
        eventually(lambda: waiting, lambda it: said(it, "standing by"))
        assert not said(waiting, READY)
        serving.kill()
        eventually(lambda: waiting, lambda it: said(it, READY))
        waiting.terminate()


def test_a_gateway_whose_session_ended_is_fenced(postgres_url: str) -> None:
    with knowing({}, store=postgres_url) as first, standby(postgres_url) as other:
        with Robot(first, IMEI) as device:
            waits(other)
            first.signal(signal.SIGSTOP)
            with psycopg.connect(postgres_url, autocommit=True) as conn:
                conn.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                )
            serves(other)
            first.signal(signal.SIGCONT)
            assert first.wait() == 12
            assert "the database has another owner: process" in first.log()
            assert device.seen == []
        other.terminate()


def test_after_a_restart_of_the_server_the_first_one_goes_on(
    postgres: Postgres, postgres_url: str
) -> None:
    with knowing({}, store=postgres_url) as first, standby(postgres_url) as other:
        waits(other)
        postgres.stop()
        other.logged("standing by", "the database cannot be reached")
        postgres.start()
        with Robot(first, IMEI) as device:
            eventually(
                lambda: first.ask({**ORDER, "wait": True}), lambda reply: reply["status"] == "200"
            )
            assert device.seen == ["QD77"]
        eventually(other.log, lambda log: log.count("another gateway works") == 2)
        assert "taking over" not in other.log()
        other.signal(signal.SIGTERM)
        assert other.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait(postgres_url: str, number: signal.Signals) -> None:
    with knowing({}, store=postgres_url) as first, standby(postgres_url) as other:
        waits(other)
        other.signal(number)
        assert other.wait() == 0
        assert "stopped" in other.log()
        assert list(other.socket.parent.iterdir()) == [], "nothing is left beside the socket"
        assert first.ask({"type": "status"})["store"] == "ok"


def test_a_signal_ends_the_wait_for_a_server_that_is_away(
    postgres: Postgres, postgres_url: str
) -> None:
    postgres.stop()
    with standby(postgres_url) as other:
        other.launch("--standby")
        other.logged("standing by", "the database cannot be reached")
        other.signal(signal.SIGTERM)
        assert other.wait() == 0


def test_who_asks_at_the_socket_is_told_that_a_standby_waits(postgres_url: str) -> None:
    with knowing({}, store=postgres_url), standby(postgres_url) as other:
        assert "a standby" not in other.cli("status").stderr
        waits(other)
        assert other.process is not None
        for command in (["status"], ["start", IMEI, "5"]):
            done = other.cli(*command)
            assert done.returncode == 13
            words = f"process {other.process.pid} waits as a standby: another gateway works"
            assert words in done.stderr, done.stderr
        other.kill()
        assert "standby" not in other.cli("status").stderr, "what is left says nothing"


def test_on_one_machine_the_doors_are_taken_over_too(postgres_url: str) -> None:
    """The same configuration, the same socket and port: the standby waits for these as well."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"device": {"listen": f"127.0.0.1:{port}"}}
    with knowing(settings, store=postgres_url) as first:
        assert first.process is not None
        former = first.process
        log = first.log_file
        first.log_file = first.folder / "standby.log"
        first.launch("--standby")
        first.logged("standing by")
        assert first.status(IMEI)["online"] is False, "the first one answers at the socket"
        former.kill()
        former.wait()
        first.logged(READY)
        with Robot(first, IMEI) as device:
            assert first.ask(ORDER)["status"] == "200"
            assert device.seen == ["QD77"]
        first.terminate()
        assert "Traceback" not in log.read_text()


def test_a_fenced_gateway_of_this_machine_gives_its_doors_to_the_standby(
    postgres_url: str,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"device": {"listen": f"127.0.0.1:{port}"}}
    with knowing(settings, store=postgres_url) as first:
        assert first.process is not None
        former, first.log_file = first.process, first.folder / "standby.log"
        first.launch("--standby")
        first.logged("standing by")
        os.kill(former.pid, signal.SIGSTOP)
        with psycopg.connect(postgres_url, autocommit=True) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            )
        first.logged("waiting for the doors of the former gateway", "is running already")
        os.kill(former.pid, signal.SIGCONT)
        assert former.wait(60) == 12
        first.logged(READY)


def test_without_it_a_second_gateway_is_refused(postgres_url: str) -> None:
    with knowing({}, store=postgres_url), standby(postgres_url) as other:
        other.launch()
        assert other.wait() == 12
        assert "another gateway works with the database" in other.log()


def test_sqlite_has_no_standby() -> None:
    with standby("sqlite:///devgate.db") as other:
        other.launch("--standby")
        assert other.wait() == 2
        assert "serve --standby needs a PostgreSQL [store] url" in other.log()
        done = other.cli("serve", "--check", "--standby")
        assert done.returncode != 0
        assert "needs a PostgreSQL" in done.stderr
        done = other.cli("serve", "--demo", "3", "--standby")
        assert done.returncode == 2
        assert "leave one of the two out" in done.stderr


def test_a_node_of_a_cluster_is_no_standby(postgres_url: str) -> None:
    """It would take the database from the nodes once the last of them has gone."""
    with standby(postgres_url, {"cluster": {"node": "a"}}) as other:
        other.launch("--standby")
        assert other.wait() == 2
        assert "works beside other nodes: leave one of the two out" in other.log()


def test_a_wrong_configuration_is_found_at_once(postgres_url: str) -> None:
    """While the other gateway works, not at the takeover."""
    missing = {"device": {"tls": {"certificate": "nothing.pem", "key": "nothing.key"}}}
    with knowing({}, store=postgres_url) as first:
        with standby(postgres_url, missing) as other:
            other.launch("--standby")
            assert other.wait() == 2
            assert "nothing.pem" in other.log()
        with standby(postgres_url.replace("//devgate@", "//nobody_such@")) as other:
            other.launch("--standby")
            assert other.wait() == 12
            assert "does not exist" in other.log()
        with standby(postgres_url) as other:
            (other.folder / "run").mkdir()
            other.socket.write_text("a file")
            other.launch("--standby")
            assert other.wait() == 12
            assert "is no socket" in other.log()
        done = first.cli("webhooks", "add", "shop", "https://shop.example/x")
        assert done.returncode == 0, done.stderr
        with standby(postgres_url) as other:
            other.launch("--standby")
            assert other.wait() == 12
            assert "a standby needs the same file as the other gateway" in other.log()
            shutil.copy(first.folder / "devgate.key", other.folder)
            waits(other)
            other.signal(signal.SIGTERM)
            assert other.wait() == 0
