"""The order of control.md section 3, from --socket to the last resort."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from devgate.config import locate
from devgate.config.load import load
from devgate.config.locate import find_config, find_socket
from devgate.errors import SetupError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, and a place for the machine's own configuration that is ours."""
    (tmp_path / "here").mkdir()
    (tmp_path / "etc").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    machine = tmp_path / "etc" / "gateway.toml"
    monkeypatch.setattr(locate, "PLACES", (locate.PLACES[0], machine))
    return tmp_path / "here"


def write(file: Path, socket: str) -> str:
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"[control]\nsocket = '{socket}'\n")
    return str(file)


def test_the_usual_places() -> None:
    assert [str(place) for place in locate.PLACES] == ["gateway.toml", "/etc/devgate/gateway.toml"]


def test_each_rung_of_the_order_beats_those_below(here: Path) -> None:
    named = write(here / "named" / "a.toml", "s")
    by_env = write(here / "by_env" / "a.toml", "s")
    env = {"DEVGATE_SOCKET": "from/env", "DEVGATE_CONFIG": by_env}
    write(here.parent / "etc" / "gateway.toml", "s")
    local = write(here / "gateway.toml", "s")
    assert find_socket("option", named, env) == "option"
    assert find_socket(None, named, env) == "from/env"
    del env["DEVGATE_SOCKET"]
    assert find_socket(None, named, env) == str(here / "named/s")
    assert find_socket(None, None, env) == str(here / "by_env/s")
    del env["DEVGATE_CONFIG"]
    assert find_socket(None, None, env) == str(here / "s")
    Path(local).unlink()
    assert find_socket(None, None, env) == str(here.parent / "etc/s")
    (here.parent / "etc" / "gateway.toml").unlink()
    assert find_socket(None, None, env) == str(here / "run/devgate.sock")


def test_the_configuration_follows_the_same_order(here: Path) -> None:
    assert find_config(None, {}) is None
    machine = write(here.parent / "etc" / "gateway.toml", "s")
    assert find_config(None, {}) == Path(machine)
    write(here / "gateway.toml", "s")
    assert find_config(None, {}) == Path("gateway.toml")
    by_env = write(here / "by_env.toml", "s")
    assert find_config(None, {"DEVGATE_CONFIG": by_env}) == Path(by_env)
    assert find_config("gateway.toml", {"DEVGATE_CONFIG": by_env}) == Path("gateway.toml")


def test_a_clones_configuration_hides_the_services(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = here / "etc.toml"
    monkeypatch.setattr(locate, "PLACES", (Path("gateway.toml"), service))
    assert not locate.hides_another(None, None, {})
    for file in (here / "gateway.toml", service):
        file.touch()
    assert locate.hides_another(None, None, {})
    assert not locate.hides_another(None, "etc.toml", {})
    assert not locate.hides_another(None, None, {"DEVGATE_SOCKET": "x"})


def test_empty_variables_are_as_good_as_none(here: Path) -> None:
    env = {"DEVGATE_SOCKET": "", "DEVGATE_CONFIG": ""}
    assert find_socket(None, None, env) == str(here / "run/devgate.sock")


def test_the_environment_overrides_a_configurations_socket(here: Path) -> None:
    named = write(here / "named" / "a.toml", "s")
    env = {"DEVGATE_CONTROL__SOCKET": "t"}
    assert find_socket(None, named, env) == str(here / "named/t")
    assert find_socket(None, None, env) == str(here / "t")


@pytest.mark.parametrize("text", ["", "[control]", "[control]\nsocket='/x'", "control.socket='x'"])
@pytest.mark.parametrize("env", [{}, {"DEVGATE_CONTROL__SOCKET": "y"}])
def test_the_cli_looks_where_the_gateway_listens(
    here: Path, text: str, env: dict[str, str]
) -> None:
    file = here / "named" / "a.toml"
    file.parent.mkdir()
    file.write_text(text)
    assert find_socket(None, str(file), env) == load(file, env).control.socket
    assert find_socket(None, None, env) == load(None, env).control.socket


def test_what_is_named_has_to_be_there(here: Path) -> None:
    missing = "can't be read: No such file or directory"
    for option, env, said in [
        ("no.toml", {}, f"--config: no.toml: {missing}"),
        ("", {}, "--config: a file expected, not an empty name"),
        (None, {"DEVGATE_CONFIG": "no.toml"}, f"DEVGATE_CONFIG: no.toml: {missing}"),
        ("a\0", {}, "--config: 'a\\x00': can't be read: no file's name has a NUL in it"),
    ]:
        for find in (find_config, lambda option, env: find_socket(None, option, env)):
            with pytest.raises(SetupError) as caught:
                find(option, env)
            assert str(caught.value) == said
    with pytest.raises(SetupError, match=r"--socket: a path expected"):
        find_socket("", None, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[control]\nsocket = 5", ": control.socket: a path expected, not 5"),
        ("control = 5", ": control: a table expected, not 5"),
        ("[control", ", line 1: not TOML: "),
    ],
)
def test_a_broken_configuration_is_one_line(here: Path, text: str, said: str) -> None:
    (here / "gateway.toml").write_text(text)
    with pytest.raises(SetupError) as caught:
        find_socket(None, None, {})
    assert str(caught.value).startswith(f"gateway.toml{said}")
    assert "\n" not in str(caught.value)
    assert find_socket("s", None, {}) == "s"


def test_a_working_directory_that_is_gone(here: Path) -> None:
    gone = here / "gone"
    gone.mkdir()
    script = (
        "import os, sys; os.chdir(sys.argv[1]); os.rmdir(sys.argv[1])\n"
        "from devgate.config.locate import find_socket\n"
        "from devgate.errors import SetupError\n"
        "try: find_socket(None, None, {})\n"
        "except SetupError as err: print(err)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(gone)], capture_output=True, text=True, timeout=60,
        env={"PYTHONPATH": str(Path(locate.__file__).parents[2])},
    )  # fmt: skip
    if Path("/etc/devgate/gateway.toml").exists():
        pytest.skip("this machine has a gateway of its own")
    assert run.stdout == "the working directory can't be used: No such file or directory\n"


def test_it_costs_a_command_of_the_cli_next_to_nothing() -> None:
    script = (
        "import sys; import devgate.config.locate\n"
        "print(*sorted(m for m in sys.modules if m.startswith('devgate')))\n"
        "print(*sorted({'pydantic', 'trio', 'sqlalchemy'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True,
        env={"PYTHONPATH": str(Path(locate.__file__).parents[2])},
    )  # fmt: skip
    ours, heavy = run.stdout.split("\n")[:2]
    assert ours == "devgate devgate.config devgate.config.locate devgate.errors devgate.model"
    assert heavy == ""
