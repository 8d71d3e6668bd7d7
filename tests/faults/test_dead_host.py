"""PostgreSQL on one host, gateways on others: network namespaces with a switch between them."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from tests.e2e.device import WAIT_SECONDS
from tests.e2e.harness import Gateway, environment
from tests.postgres import Postgres, binaries

pytestmark = pytest.mark.slow

DEAD_HOST_SECONDS = 60.0  # on a busy machine; without keep-alives of the server it is two hours
PORT = 5432
HOSTS = {"db": "10.99.7.1", "a": "10.99.7.2", "b": "10.99.7.3"}


def ip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)


def must(*arguments: str) -> None:
    done = ip(*arguments)
    if done.returncode:
        pytest.skip(f"no network namespaces here: ip {' '.join(arguments)}: {done.stderr.strip()}")


class Network:
    """The hosts of HOSTS, each a namespace with one wire to a switch, which is another one."""

    def __init__(self) -> None:
        self._name = f"dg{os.getpid()}"
        self._made: list[str] = []

    def make(self) -> None:
        switch = self._namespace("sw")
        must("-n", switch, "link", "add", "br0", "type", "bridge")
        must("-n", switch, "link", "set", "br0", "up")
        for host, address in HOSTS.items():
            namespace = self._namespace(host)
            must("-n", switch, "link", "add", f"to-{host}", "type", "veth",
                 "peer", "name", "eth0", "netns", namespace)  # fmt: skip
            must("-n", switch, "link", "set", f"to-{host}", "master", "br0", "up")
            must("-n", namespace, "link", "set", "lo", "up")
            must("-n", namespace, "link", "set", "eth0", "up")
            must("-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")

    def _namespace(self, host: str) -> str:
        name = f"{self._name}-{host}"
        must("netns", "add", name)
        self._made.append(name)
        return name

    def on(self, host: str) -> list[str]:
        """What stands before a command that runs on this host."""
        return ["ip", "netns", "exec", f"{self._name}-{host}"]

    def cut(self, host: str) -> None:
        """All packets from it and to it are dropped without an error."""
        must("-n", f"{self._name}-sw", "link", "set", f"to-{host}", "nomaster")

    def remove(self) -> None:
        for name in self._made:
            ip("netns", "del", name)


@contextlib.contextmanager
def server(network: Network) -> Iterator[Postgres]:
    """PostgreSQL on the host `db`, for the user `postgres` by TCP."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    user = "postgres" if any(p.pw_name == "postgres" for p in pwd.getpwall()) else "nobody"
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    made = Postgres(programs, folder, user)
    with (made.data / "pg_hba.conf").open("a") as hba:
        hba.write("host all all 10.99.7.0/24 trust\n")
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [*network.on("db"), "setpriv", f"--reuid={user}",
             f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups",
             programs / "postgres", "-D", made.data, "-k", folder, "-p", str(PORT),
             "-c", f"listen_addresses={HOSTS['db']}", "-c", "fsync=off"],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip
    try:
        ends = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                psycopg.connect(made.url()).close()
                break
            except psycopg.OperationalError:
                assert time.monotonic() < ends, (folder / "log").read_text()
                time.sleep(0.05)
        yield made
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(WAIT_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


class Remote(Gateway):
    """A gateway that runs on one of the hosts."""

    def __init__(self, before: Sequence[str], store: str) -> None:
        super().__init__(store=store)
        self._before = before

    def launch(self, *arguments: str, stderr: int | None = None) -> None:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._before, sys.executable, "-m", "devgate", "serve", *arguments],
                cwd=self.folder, env={**environment(self.folder), **self.environment},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.killed = False


@pytest.fixture
def network() -> Iterator[Network]:
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("setpriv") is None:
        pytest.skip("network namespaces need root, `ip` and `setpriv`")
    made = Network()
    try:
        made.make()
        yield made
    finally:
        made.remove()


def test_f11_a_host_that_lost_its_power_keeps_nobody_out(network: Network) -> None:
    """F11: the server kept the session of the dead host, and with it the lock, for two hours."""
    with server(network):
        store = f"postgresql://devgate@{HOSTS['db']}:{PORT}/postgres"
        first, second = Remote(network.on("a"), store), Remote(network.on("b"), store)
        try:
            first.start()
            second.launch()
            assert second.wait() == 12
            assert f"a session from {HOSTS['a']}, PostgreSQL's process " in second.log()
            network.cut("a")
            first.kill()
            cut = time.monotonic()
            tries = 0
            while True:
                tries += 1
                second.log_file.write_text("")
                second.launch()
                assert second.process is not None
                while second.process.poll() is None and "ready" not in second.log():
                    time.sleep(0.05)
                if second.process.poll() is None:
                    break
                assert f"a session from {HOSTS['a']}" in second.log()
                assert time.monotonic() < cut + DEAD_HOST_SECONDS, second.log()
            print(f"a new gateway ran {time.monotonic() - cut:.1f} s after the cut, try {tries}")
            assert second.ask({"type": "status"})["store"] == "ok"
            second.terminate()
        finally:
            for one in (first, second):
                if one.process is not None and one.process.poll() is None:
                    one.process.kill()
                    one.process.wait()
                shutil.rmtree(one.folder, ignore_errors=True)
