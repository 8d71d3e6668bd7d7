"""`devgate devices`, on a real database and beside something that answers at the socket."""

from __future__ import annotations

import json
import re
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update

from devgate.cli.main import cli
from devgate.control.client import NoGateway, Reply, ask
from devgate.model import iso
from devgate.store import engines
from devgate.store.device import RECORD
from devgate.store.opening import open_database
from devgate.store.schema import presence
from tests.store.plain import A, B, C, connect
from tests.stores import with_tables

Run = Callable[..., Result]


class Gateway(socketserver.ThreadingUnixStreamServer):
    """Answers at a control socket what the test has put there, and notes what it was asked."""

    daemon_threads = True

    def __init__(self, path: str) -> None:
        super().__init__(path, Handler)
        self.asked: list[dict[str, Any]] = []
        self.replies: dict[str, dict[str, Any]] = {
            "refresh": {"status": "200"},
            "status": {"status": "200"},
        }


class Handler(socketserver.StreamRequestHandler):
    server: Gateway

    def handle(self) -> None:
        while data := self.connection.recv(65536):
            request = json.loads(data.removeprefix(b"command"))
            self.server.asked.append(request)
            reply = self.server.replies[request["type"]]
            self.wfile.write(json.dumps(reply).encode() + b"\n")


@pytest.fixture
def config(database_url: str) -> Iterator[Path]:
    """A configuration with a socket path short enough for a Unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="dg", dir="/tmp"))
    file = folder / "gateway.toml"
    file.write_text(f'[store]\nurl = "{database_url}"\n[control]\nsocket = "s"\n')
    yield file
    shutil.rmtree(folder)


@pytest.fixture
def tables(database_url: str) -> None:
    """The database has them by then: without this fixture the first command makes them."""
    with_tables(database_url)


@pytest.fixture
def run(config: Path) -> Run:
    def command(*args: str, input: str | None = None) -> Result:
        line = ["--config", str(config), "devices", *args]
        return CliRunner().invoke(cli, line, input=input, catch_exceptions=False)

    return command


@pytest.fixture
def gateway(config: Path) -> Iterator[Gateway]:
    with answering(config) as server:
        yield server


@contextmanager
def answering(config: Path) -> Iterator[Gateway]:
    with Gateway(str(config.parent / "s")) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_device_from_its_addition_to_its_removal(run: Run) -> None:
    added = run("add", A, "--name", "Bay 4", "--qr", "http://x/{id}", "--json")
    assert json.loads(added.stdout) == {
        "status": "200", "message": f"added {A} as number 1", "imei": A, "id": 1,
        "name": "Bay 4", "site": "", "phone": None, "qr": "http://x/{id}", "unit": "seconds",
        "ack_timeout": None, "enabled": True, **dict.fromkeys(RECORD),
    }  # fmt: skip
    for given, kept in (("12.5", 12.5), ("1m", 60), ("", None)):
        assert run("edit", A, "--ack-timeout", given).exit_code == 0
        assert json.loads(run("show", A, "--json").stdout)["ack_timeout"] == kept
    assert run("edit", A, "--ack-timeout", "301").exit_code == 2
    assert run("add", B, "--id", "9", "--disabled").stdout == f"added {B} as number 9\n"
    assert run("edit", A, "--site", "north", "--unit", "times").exit_code == 0
    assert run("enable", A, B).stdout == f"enabled {A}, {B}\n"
    shown = json.loads(run("show", A, "--json").stdout)
    assert (shown["site"], shown["unit"], shown["online"]) == ("north", "times", None)
    assert run("show", A).stdout.splitlines()[:3] == [
        f"imei           {A}", "id             1", "name           Bay 4",
    ]  # fmt: skip
    assert run("disable", B).exit_code == 0
    assert json.loads(run("show", B, "--json").stdout)["enabled"] is False
    assert run("remove", A, B, "--yes").stdout == f"removed {A}, {B}\n"
    assert run("list", "--json").stdout == '{"status": "200", "items": [], "next": null}\n'


def test_a_gateway_that_starts_at_this_moment_answers(
    run: Run, config: Path, tables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was said to work with a database, and then that none answers."""
    began: list[Gateway] = []
    with ExitStack() as stack:

        def starting(path: str, request: dict[str, Any]) -> Reply:
            try:
                return ask(path, request)
            except NoGateway:
                if not began:
                    began.append(stack.enter_context(answering(config)))
                    began[0].replies["devices"] = {"status": "200", "items": [], "next": None}
                raise

        monkeypatch.setattr("devgate.cli.local.devices_list.ask", starting)
        listed = run("list")
    assert [one["type"] for one in began[0].asked] == ["status", "devices"]
    assert (listed.exit_code, listed.stderr) == (0, "")


def test_without_a_gateway_the_database_is_named_once(run: Run, tables: None) -> None:
    (line,) = run("list").stderr.splitlines()
    assert line.startswith("devgate: no gateway answers: read from ")


def test_without_a_gateway_an_unknown_order_is_told_as_by_one(run: Run, tables: None) -> None:
    """It ended in a traceback."""
    listed = run("list", "--sort", "foo")
    assert listed.exit_code == 2
    assert "devgate: sort: imei, -imei, " in listed.stderr
    assert run("list", "--sort", "-since").exit_code == 0


def test_exit_codes(run: Run, tables: None) -> None:
    run("add", A)
    assert run("show", B).exit_code == 5
    assert run("edit", B, "--name", "x").exit_code == 5
    assert run("remove", A, B, "--yes").exit_code == 5
    assert run("add", A).exit_code == 9
    assert run("add", "12").exit_code == 2
    assert run("add", B, "--phone", "5" * 977).exit_code == 2
    assert run("edit", A).exit_code == 2
    assert run("list", "--online").exit_code == 13
    assert json.loads(run("enable", B, "--json").stdout)["status"] == "300"


def test_a_database_that_is_not_there_is_12(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    env = {"DEVGATE_STORE__URL": f"sqlite:///{tmp_path}/a/x.db"}
    result = CliRunner(env=env).invoke(cli, ["devices", "show", A])
    assert result.exit_code == 12
    assert result.stderr.startswith(f"devgate: [store] url: the folder {tmp_path}/a")


def test_a_locked_database_is_12(
    run: Run, tables: None, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "LOCK_SECONDS", 0.05)
    run("add", A)
    other = connect(database_url)
    lock = "BEGIN IMMEDIATE" if database_url.startswith("sqlite") else "LOCK revision"
    other.execute(lock)
    result = run("add", B)
    other.rollback()
    other.close()
    assert result.exit_code == 12
    assert "locked by another program" in result.stderr


def test_import_and_export(run: Run, tables: None, tmp_path: Path) -> None:
    text = (
        "imei,id,name,site,phone,qr,unit,ack_timeout,enabled,iccid,sim_phone,model,firmware,"
        "serial,installed_on,note,tags,latitude,longitude\n"
        f"{A},1,Bay 4,north,,,seconds,7.5,true,,,,,,,,,,\n"
        f"{B},2,,,400,,times,,false,,,MC-4,,,,,,,\n"
    )
    result = run("import", "-", "--json", input=text)
    assert json.loads(result.stdout) == {
        "status": "200", "message": "2 added, 0 updated, 0 there already", "added": 2,
        "updated": 0, "skipped": 0,
    }  # fmt: skip
    assert run("export").stdout == text
    file = tmp_path / "devices.csv"
    assert run("export", str(file)).exit_code == 0
    assert file.read_text() == text
    assert [path.name for path in tmp_path.glob("devices*")] == ["devices.csv"]
    assert run("import", str(file)).stdout == "0 added, 0 updated, 2 there already\n"
    lines = run("export", "--json").stdout.splitlines()
    assert [json.loads(line)["imei"] for line in lines] == [A, B]
    assert run("export", str(tmp_path / "no" / "x.csv")).exit_code == 2
    wrong = run("import", "-", input="imei\n1\n")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert wrong.stderr == "devgate: line 2: imei: a string of 15 digits expected, not '1'\n"
    tried = run("import", "-", "--dry-run", "--json", input=f"imei,name\n{C},x\n1,y\n")
    reply = json.loads(tried.stdout)
    assert (tried.exit_code, reply["added"], reply["faults"]) == (2, 1, 1)
    assert reply["errors"][0]["line"] == 3


def test_a_list_without_a_gateway_says_so(run: Run, tables: None, database_url: str) -> None:
    for imei, site in ((A, "north"), (B, "south"), (C, "north")):
        run("add", imei, "--site", site)
    listed = run("list", "--site", "north")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["IMEI", A, C]
    assert "online is unknown" in listed.stderr
    first = run("list", "--limit", "2")
    assert f"--after {B}" in first.stderr
    assert C in run("list", "--after", B).stdout
    database = open_database(database_url)
    with database.write() as conn:
        conn.execute(update(presence).where(presence.c.imei == B).values(running_until=4e9))
    database.close()
    running = json.loads(run("list", "--running", "--json").stdout)["items"]
    assert [(item["imei"], item["running_until"]) for item in running] == [
        (B, "2096-10-02T07:06:40.000Z")
    ]


def test_a_gateway_that_runs_does_the_work(
    run: Run, gateway: Gateway, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D20: its database is touched where none runs, and where it works with another one."""
    done = {"status": "200", "message": "done"}
    gateway.replies |= dict.fromkeys(("add", "edit", "remove"), done)
    assert run("add", A, "--phone", "").stdout == "done\n"
    assert run("disable", A, B).stdout == f"disabled {A}, {B}\n"
    assert run("remove", A, "--yes").stdout == f"removed {A}\n"
    assert gateway.asked == [
        {"type": "add", "imei": A, "phone": ""},
        {"type": "edit", "enabled": False, "imeis": [A, B]},
        {"type": "remove", "imei": A},
    ]
    gateway.replies["add"] = {"status": "503", "message": "the database is away"}
    failed = run("add", A)
    assert (failed.exit_code, failed.stderr) == (12, "devgate: the database is away\n")
    monkeypatch.setenv("DEVGATE_STORE__URL", database_url)
    gateway.replies["status"] = {"status": "200", "database": "sqlite:///elsewhere.db"}
    gateway.replies["refresh"] = gateway.replies["status"]
    own = run("add", A)
    assert own.stdout == f"added {A} as number 1\n"
    assert "works with another database, sqlite:///elsewhere.db" in own.stderr


def test_a_gateway_that_runs_is_asked_who_is_online(run: Run, gateway: Gateway) -> None:
    item = {
        "imei": A, "id": 1, "name": "Bay 4", "site": "", "enabled": True, "online": True,
        "since": iso(time.time() - 3725), "running_until": iso(time.time() + 62.4),
    }  # fmt: skip
    gateway.replies["devices"] = {"status": "200", "items": [item], "next": None}
    gateway.replies["device"] = {"status": "200", "online": True, "since": "2025", "heard": "2026"}
    listed = run("list", "--online", "--site", "x", "--running")
    assert gateway.asked[-1] == {
        "type": "devices", "online": True, "running": True, "site": "x", "limit": 100,
    }  # fmt: skip
    row = listed.stdout.splitlines()[1]
    assert re.split("  +", row) == [A, "1", "Bay 4", "online", "1 h 2 min", "1 min 2 s"]
    shown = json.loads(run("show", A, "--json").stdout)
    assert (shown["online"], shown["heard"], shown["address"]) == (True, "2026", None)


def test_help_imports_no_database() -> None:
    code = (
        "import sys; from devgate.cli.local.devices import devices\n"
        "heavy = {'trio', 'sqlalchemy', 'pydantic', 'devgate.store'} & set(sys.modules)\n"
        "sys.exit(f'{heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "name", ["list", "show", "add", "edit", "remove", "enable", "disable", "import", "export"]
)
def test_every_command_teaches_by_example(name: str) -> None:
    text = CliRunner().invoke(cli, ["devices", name, "--help"]).stdout
    assert f"devgate devices {name}" in text.split("Example", 1)[1]
    assert "--json" in text
