"""`devgate token`, through the whole command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from devgate.access import tokens
from devgate.cli.local import account
from devgate.cli.main import cli


def run(*words: str, **env: str) -> Result:
    return CliRunner().invoke(cli, ["token", *words], env=env)


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "tokens")


def test_add_prints_the_secret_alone(file: str) -> None:
    got = run("add", "shop", "--file", file)
    assert got.exit_code == 0
    known = tokens.Tokens(file).check(got.stdout.removesuffix("\n"))
    assert known is not None
    assert (known.name, known.role) == ("shop", "command")
    assert "not shown again" in got.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_makes_is_for_the_owner_of_the_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, 4711, 4712)
    file = tmp_path / "tokens"
    assert "chown" not in run("add", "shop", "--file", str(file)).stderr
    info = file.stat()
    assert (info.st_uid, info.st_gid, info.st_mode & 0o777) == (4711, 4712, 0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_root_is_told_who_cannot_read_a_new_file(file: str) -> None:
    assert f"only root can read the new file {file}" in run("add", "a", "--file", file).stderr
    assert "only root" not in run("add", "b", "--file", file).stderr, "it was there before"


def test_add_as_json(file: str) -> None:
    got = run("add", "screen", "--role", "read", "--json", "--file", file)
    assert got.exit_code == 0
    reply = json.loads(got.stdout)
    assert (reply["status"], reply["name"], reply["role"]) == ("200", "screen", "read")
    assert tokens.Tokens(file).check(reply["token"]) is not None
    assert "shown again" not in got.stderr, "the reply says it"


def test_list_and_remove(file: str) -> None:
    assert "no tokens; add one" in run("list", "--file", file).stderr
    for name in ("shop", "screen"):
        run("add", name, "--file", file)
    rows = run("list", "--file", file).stdout.splitlines()
    assert [row.split()[:2] for row in rows] == [
        ["NAME", "ROLE"], ["shop", "command"], ["screen", "command"],
    ]  # fmt: skip
    assert run("remove", "shop", "--yes", "--file", file).stdout == "token shop removed\n"
    (line,) = run("list", "--json", "--file", file).stdout.splitlines()
    assert set(json.loads(line)) == {"name", "role", "sites", "enabled", "added_at"}
    assert json.loads(line)["name"] == "screen"


@pytest.mark.parametrize(
    "words",
    [
        ["add", "shop"],
        ["remove", "other", "--yes"],
        ["add", "a b"],
        ["add", "x", "--role", "king"],
    ],
)
def test_what_cannot_be_done_is_a_complaint_and_changes_nothing(
    words: list[str], file: str
) -> None:
    run("add", "shop", "--file", file)
    before = Path(file).read_bytes()
    got = run(*words, "--file", file)
    assert got.exit_code == 2
    assert got.stdout == ""
    assert got.stderr
    assert Path(file).read_bytes() == before


def test_without_a_gateway_the_database_keeps_them(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/devgate.db"\n')
    env = {"DEVGATE_CONFIG": str(config), "DEVGATE_SOCKET": str(tmp_path / "none.sock")}
    secret = run("add", "shop", "--site", "North", **env).stdout.strip()
    assert secret.startswith("dg_")
    assert run("add", "shop", **env).exit_code == 9, "the name is taken"
    assert run("edit", "shop", "--role", "read", "--disable", **env).exit_code == 0
    (row,) = run("list", "--json", **env).stdout.splitlines()
    assert {**json.loads(row), "added_at": ""} == {
        "name": "shop", "role": "read", "sites": ["North"], "enabled": False, "added_at": "",
    }  # fmt: skip
    new = run("edit", "shop", "--new-secret", "--all-sites", **env)
    assert new.stdout.startswith("dg_")
    assert "North" not in run("list", **env).stdout
    assert run("edit", "shop", **env).exit_code == 2
    assert run("remove", "shop", "--yes", **env).stdout == "token shop removed\n"
    assert run("remove", "shop", "--yes", **env).exit_code == 2


def test_the_roles_are_the_gateways() -> None:
    assert account.ROLES == tokens.ROLES


def test_help_needs_no_server() -> None:
    script = "import sys, devgate.cli.local.token; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", script], text=True).split()
    assert not {"trio", "sqlalchemy", "pydantic", "devgate.gateway"} & set(loaded)
