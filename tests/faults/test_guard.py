"""A process that has begun to end and cannot is ended by a thread of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg

from tests.e2e.caller import Caller, Robot, eventually, knowing
from tests.e2e.device import WAIT_SECONDS
from tests.faults.preload import Faults
from tests.postgres import Postgres

IMEI = "860000000000001"
FOREVER = 3600 * 10**6  # microseconds

HANGS = """
import threading, time
from devgate import guard, logs
logs.set_up("info", "json")
armed = guard.Guard({before_exit})
threading.Thread(target=time.sleep, args=(3600,)).start()
armed.arm(3600, "too long to matter")
armed.arm(0.1, "a test")
"""


def hangs(before_exit: str) -> subprocess.CompletedProcess[str]:
    """A process whose main thread has ended with a fault, and that another one keeps alive."""
    code = HANGS.format(before_exit=before_exit) + "raise ValueError('a fault')\n"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_SECONDS,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip


def test_f9_a_process_that_cannot_join_its_threads_is_ended() -> None:
    """F9 (d): it lived on with all sockets closed, and a service manager saw a live process."""
    done = hangs("lambda: print('said', flush=True)")
    assert done.returncode == 70
    assert '"reason": "a test"' in done.stderr
    assert "ValueError: a fault" in done.stderr
    assert done.stdout == "said\n"


def test_last_words_that_hang_or_fail_do_not_keep_it() -> None:
    assert hangs("lambda: time.sleep(3600)").returncode == 70
    assert hangs("lambda: 1 / 0").returncode == 70


def test_f12_a_second_signal_ends_a_gateway_whose_disk_hangs(faults: Faults) -> None:
    """F12 (a): the second SIGTERM waited for the thread in fsync, for as long as that hung."""
    with (
        knowing({}, environment=faults.environment()) as served,
        Robot(served, IMEI),
        Caller(served) as caller,
    ):
        faults.set(fsync_delay_us=FOREVER, fsync_faults=-1)
        caller.send(imei=IMEI, type="start", long=5)
        eventually(lambda: faults.get("faults"), bool)
        served.signal(signal.SIGTERM)
        served.logged("draining")
        served.signal(signal.SIGTERM)
        assert served.wait() == 70
        assert "not ended in time" in served.log()


def test_f12_a_second_signal_ends_a_gateway_whose_database_is_frozen(
    postgres: Postgres, postgres_url: str
) -> None:
    """F12 (a), with PostgreSQL: frozen backends answer nothing and close nothing."""
    with knowing({}, store=postgres_url) as served, Robot(served, IMEI), Caller(served) as caller:
        with psycopg.connect(postgres_url) as database:
            query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'devgate'"
            pids = [row[0] for row in database.execute(query)]
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            caller.send(imei=IMEI, type="start", long=5)
            eventually(lambda: served.ask({"type": "status"})["in_flight"], bool)
            served.signal(signal.SIGTERM)
            served.logged("draining")
            served.signal(signal.SIGTERM)
            assert served.wait() == 70
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


def test_f9_a_stop_that_hangs_is_ended(faults: Faults) -> None:
    """F9, F12: one SIGTERM is enough: after `drain` + 15 s the guard ends the process."""
    settings = {"command": {"drain": 0.1}}
    with (
        knowing(settings, environment=faults.environment()) as served,
        Robot(served, IMEI),
        Caller(served) as caller,
    ):
        faults.set(fsync_delay_us=FOREVER, fsync_faults=-1)
        caller.send(imei=IMEI, type="start", long=5)
        eventually(lambda: faults.get("faults"), bool)
        served.signal(signal.SIGTERM)
        assert served.process is not None
        assert served.process.wait(3 * WAIT_SECONDS) == 70
