from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

import devgate
from devgate.cli.main import ENTRIES, SECTIONS, cli
from devgate.model import EXIT, NO_GATEWAY

OURS = [
    "start",
    "stop",
    "status",
    "send",
    "history",
    "commands",
    "watch",
    "tap",
    "replay",
    "webhooks",
    "alert",
    "completion",
]


def commands(
    group: click.Group, names: list[str], path: str = ""
) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in names:
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, command.list_commands(context), f"{path}{name} ")


ALL = dict(commands(cli, OURS))


@pytest.mark.parametrize("name", OURS)
def test_the_list_says_what_the_command_says(name: str) -> None:
    """The list imports no command, so it has a copy of what each begins with."""
    verb = ENTRIES[name].summary.split()[0]
    assert (ALL[name].help or "").startswith(verb)


@pytest.mark.parametrize(("given", "meant"), [("strat", "start"), ("device", "devices")])
def test_an_unknown_command_is_answered_with_the_nearest(given: str, meant: str) -> None:
    got = CliRunner().invoke(cli, [given])
    assert got.exit_code == EXIT["400"]
    assert f"No such command '{given}'." in got.output
    assert meant in got.output.partition("Did you mean")[2]


def test_every_command_is_listed_in_its_section() -> None:
    got = CliRunner().invoke(cli, ["--help"])
    assert got.exit_code == 0
    for title, section in SECTIONS.items():
        assert f"\n{title}:\n" in got.output
        for name, entry in section.items():
            assert re.search(rf"^  {name} +{re.escape(entry.summary)}$", got.output, re.MULTILINE)


@pytest.mark.parametrize("name", ALL)
def test_help_teaches(name: str) -> None:
    """Its own first sentence, an example, and a sentence for each option."""
    command = ALL[name]
    text = command.help or ""
    first = re.split(r"\.\s", text + " ")[0]
    assert 0 < len(first) < 120
    assert f"devgate {name}" in text, "an example"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
    output = CliRunner().invoke(cli, [*name.split(), "--help"]).output
    assert all(len(line) <= 100 for line in output.splitlines())


@pytest.mark.parametrize("name", [name for name, c in ALL.items() if name != "completion"])
def test_every_command_takes_the_global_options(name: str) -> None:
    names = {option for parameter in ALL[name].params for option in parameter.opts}
    assert {"--socket", "--config", "--json"} <= names


def test_the_help_of_start_lists_every_exit_code() -> None:
    text = ALL["start"].help or ""
    listed = {int(code) for code in re.findall(r"^ *(\d+)  \w", text, re.MULTILINE)}
    assert listed == {*EXIT.values(), NO_GATEWAY, 130}


def test_the_version() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output == f"devgate {devgate.__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_code_of_that_shell(shell: str) -> None:
    got = CliRunner().invoke(cli, ["completion", shell])
    assert (got.exit_code, got.stderr) == (0, "")
    assert f"_DEVGATE_COMPLETE={shell}_complete" in got.stdout
    if program := shutil.which(shell):
        check = [program, "-n"]
        subprocess.run(check, input=got.stdout, text=True, check=True, timeout=60)


def test_completion_completes() -> None:
    environ = {
        **os.environ,
        "_DEVGATE_COMPLETE": "bash_complete",
        "COMP_WORDS": "devgate st",
        "COMP_CWORD": "1",
    }
    script = "from devgate.cli.main import cli; cli(prog_name='devgate')"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["plain,start", "plain,stop", "plain,status"]
