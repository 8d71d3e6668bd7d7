"""PostgreSQL is away when the gateway starts, or has settings that do not keep the promise."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
from collections.abc import Iterator

import pytest

from devgate.store.promise import look
from tests.e2e.device import WAIT_SECONDS
from tests.e2e.harness import Gateway
from tests.postgres import Postgres


@contextlib.contextmanager
def waiting(store: str) -> Iterator[Gateway]:
    """A gateway that is not started."""
    served = Gateway(store=store)
    try:
        yield served
    finally:
        if served.process is not None and served.process.poll() is None:
            served.process.kill()
            served.process.wait()
        shutil.rmtree(served.folder)


@pytest.fixture
def stopped(postgres: Postgres, postgres_url: str) -> str:
    postgres.stop()
    return postgres_url


def test_f15_a_server_that_is_away_is_waited_for(postgres: Postgres, stopped: str) -> None:
    """F15: systemd gave up after five starts in ten seconds. It hears what is waited for, and is
    asked for more time, whatever TimeoutStartSec= is."""
    with waiting(stopped) as served, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(served.folder / "notify"))
        manager.settimeout(WAIT_SECONDS)
        served.environment["NOTIFY_SOCKET"] = str(served.folder / "notify")
        served.launch()
        served.logged("waiting for the database", "cannot be reached")
        status, more = manager.recv(4096).decode().splitlines()
        assert status.startswith("STATUS=waiting for the database: ")
        assert more == "EXTEND_TIMEOUT_USEC=60000000"
        postgres.start()
        served.logged("ready")
        served.until(None, "store", "ok")
        assert served.log().count("waiting for the database") == 1, "one line a minute"
        served.terminate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_f15_a_signal_ends_the_wait(stopped: str, number: signal.Signals) -> None:
    with waiting(stopped) as served:
        served.launch()
        served.logged("waiting for the database")
        served.signal(number)
        assert served.wait() == 0
        assert "stopped" in served.log()


def test_f15_what_time_does_not_mend_is_not_waited_for(postgres_url: str) -> None:
    """F15: a user that the server does not know; a database that is not there."""
    for wrong in (
        postgres_url.replace("//devgate@", "//nobody_such@"),
        postgres_url.replace("/postgres?", "/no_such_database?"),
    ):
        with waiting(wrong) as served:
            served.launch()
            assert served.wait() == 12
            assert "does not exist" in served.log()


def test_check_says_which_settings_do_not_keep_the_promise(
    postgres: Postgres, postgres_url: str
) -> None:
    with waiting(postgres_url) as served:
        done = served.cli("serve", "--check")
        assert done.returncode == 0, done.stderr
        said = done.stdout + done.stderr
        for name in ("fsync", "full_page_writes"):
            words = f"warning: PostgreSQL: {name} is off: a power cut may lose confirmed starts"
            assert words in said
        assert "the gateway sets synchronous_commit = on for itself" in said
        assert "\nPostgreSQL: synchronous_standby_names is empty, and no replica is" in said
        assert "the configuration is right" in said
        postgres.stop()
        done = served.cli("serve", "--check")
        assert done.returncode == 0, done.stderr
        assert "settings were not looked at" in done.stdout + done.stderr
    with waiting(f"{postgres_url}&target_session_attrs=standby") as served:
        done = served.cli("serve", "--check")
        assert done.returncode == 2
        assert (
            "target_session_attrs=standby may lead to a server that takes no writes" in done.stderr
        )
        assert "is right" not in done.stdout


def test_a_server_that_nobody_replicates_is_no_warning_unless_another_may_take_over(
    postgres: Postgres, postgres_url: str
) -> None:
    """`devgate doctor` exited 1 with every single server."""
    empty = "PostgreSQL: synchronous_standby_names is empty"
    alone, of_a_node, of_several = (
        [words for words in look(url, cluster=cluster) if empty in words]
        for url, cluster in (
            (postgres_url, False),
            (postgres_url, True),
            (postgres.url(postgres), False),
        )
    )
    assert alone == [f"{empty}, and no replica is connected: a start is kept by this server alone"]
    assert len(of_a_node) == len(of_several) == 1
    assert all(words.startswith("warning: ") for words in of_a_node + of_several)
