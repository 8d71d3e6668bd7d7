"""The CLI runs once per order: what a command does not need, it does not import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.answering import IMEI, Answering

SCRIPT = """
import sys
from devgate.cli.main import cli
try:
    cli(prog_name="devgate")
except SystemExit as err:
    print(*sys.modules, file=sys.stderr)
    raise
"""
HEAVY = {
    "alembic", "asyncio", "csv", "devgate.app", "devgate.cli.batch", "devgate.config.load",
    "devgate.config.settings", "devgate.control.server", "devgate.gateway", "devgate.net",
    "devgate.protocol", "devgate.store", "outcome", "psycopg", "pydantic", "rich",
    "sqlalchemy", "ssl", "trio", "trio_util", "ulid",
}  # fmt: skip


def loaded(*args: str, code: int) -> set[str]:
    command = [sys.executable, "-c", SCRIPT, *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "args",
    [
        ["start", IMEI, "500", "--key", "k"],
        ["stop", IMEI],
        ["status"],
        ["status", IMEI],
        ["send", 'command{"type":"status"}'],
        ["history"],
        ["commands", "list"],
    ],
)
def test_a_command_starts_without_the_server(gateway: Answering, args: list[str]) -> None:
    modules = loaded("--socket", gateway.path, *args, code=0)
    assert {"click", "json", "socket", "devgate.control.client"} <= modules
    assert not modules & HEAVY
    assert "tomli" not in modules, "who names the socket needs no configuration"


def test_a_stream_that_is_no_terminal_needs_no_colours(gateway: Answering) -> None:
    gateway.answer = lambda request: [{"status": "200"}]
    assert not loaded("--socket", gateway.path, "watch", code=13) & HEAVY


def test_a_gateway_without_webhooks_carries_no_http_client() -> None:
    script = "import sys, devgate.app, devgate.process; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    modules = set(done.stdout.split())
    assert {"devgate.webhooks.target", "trio", "sqlalchemy"} <= modules
    assert not modules & {"httpcore", "h2", "starlette", "hypercorn", "jinja2", "alembic", "rich"}
    assert "psycopg" not in modules, "it is for PostgreSQL alone"
    assert "devgate.gateway.operations.table" not in modules, "it is loaded behind the doors"
    assert not modules & {"devgate.standby", "devgate.store.node_opening", "devgate.upgrade.new"}


def test_the_collector_does_not_look_at_what_is_imported() -> None:
    """Its import took a sixth of the CPU time of a start."""
    script = """
import gc
from devgate.early import importing
before = gc.get_stats()
with importing():
    import devgate.app, devgate.process
print(gc.isenabled(), gc.get_freeze_count() > 50_000)
print(gc.get_stats() == before)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "True", "True"]


@pytest.mark.parametrize("args", [["--help"], ["start", "--help"], ["--version"]])
def test_help_reads_no_configuration(
    args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gateway.toml").write_text("this is not TOML")
    monkeypatch.chdir(tmp_path)
    modules = loaded(*args, code=0)
    assert not modules & (HEAVY | {"tomli"})
