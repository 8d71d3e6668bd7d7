"""`devgate service`: the gateway as a service of systemd, for root."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from devgate.cli.help import Group
from devgate.cli.output import YES, Where, certain, common, fail, options, say

if TYPE_CHECKING:
    from devgate.service.install import Place

NAME = click.option(
    "--name", default="devgate", metavar="NAME", show_default=True,
    help="The service's name, and that of its folders.",
)  # fmt: skip
USER = click.option(
    "--user", default="devgate", metavar="USER", show_default=True, help="Who it runs as."
)
ROOT = click.option(
    "--root", default="/", metavar="DIR",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    help="The root of an image that is being built: only files are written there.",
)  # fmt: skip


@click.group(cls=Group)
@options
def service() -> None:
    """Run the gateway as a service of systemd.

    \b
    Examples:
      sudo devgate service install
      sudo devgate service remove
      devgate service unit | less
    """


@service.command()
@NAME
@USER
@click.option("--start/--no-start", default=True, help="Start it now.  [default: start]")
@ROOT
@common
def install(where: Where, name: str, user: str, start: bool, root: str) -> None:
    """Make the user, the configuration and the unit, and start the service.

    A configuration and a user that are there already stay as they are; the unit is written anew.
    Run it again after an upgrade that moved the program, or after a change of a port to one
    below 1024.

    \b
    Example:
      sudo devgate service install && devgate status
    """
    from devgate.service.install import install as act

    _act(lambda: act(_place(root, name, user), _program(), say, start=start))


@service.command()
@NAME
@USER
@ROOT
@YES
@common
def remove(where: Where, name: str, user: str, root: str, yes: bool) -> None:
    """Stop the service and delete its unit. Configuration and database stay.

    \b
    Example:
      sudo devgate service remove --yes
    """
    from devgate.service.install import remove as act

    certain(f"Stop {name} and remove its unit?", yes)
    _act(lambda: act(_place(root, name, user), say))


@service.command()
@NAME
@USER
@click.option("--program", metavar="PATH", help="The program.  [default: this one]")
@common
def unit(where: Where, name: str, user: str, program: str | None) -> None:
    """Print the unit file for the configuration that is found.

    \b
    Example:
      devgate service unit --config /etc/devgate/gateway.toml
    """
    from devgate.config.locate import find_config
    from devgate.service.install import unit_for

    config = find_config(where.config_option, os.environ)
    path = os.path.abspath(config) if config else f"/etc/{name}/gateway.toml"
    command = [program or _program(), "serve", "--config", path]
    say(unit_for(config, os.environ, command, name=name, user=user).rstrip())


@service.command()
@NAME
@USER
@common
def configuration(where: Where, name: str, user: str) -> None:
    """Print the configuration that `install` writes where there is none.

    \b
    Example:
      devgate service configuration > gateway.toml
    """
    from devgate.service.install import configuration as text

    say(text(name, user).rstrip())


def _place(root: str, name: str, user: str) -> Place:
    from pathlib import Path

    from devgate.service.install import Place

    return Place(Path(root), name, user)


def _program() -> str:
    """The absolute path of the `devgate` of this environment."""
    beside = os.path.join(os.path.dirname(sys.executable), "devgate")
    found = beside if os.access(beside, os.X_OK) else shutil.which("devgate")
    if found is None:
        fail("there is no program `devgate` beside this Python: install the package", 12)
    return os.path.abspath(found)


def _act(work: Callable[[], None]) -> None:
    from devgate.errors import SetupError

    try:
        work()
    except SetupError as err:
        fail(str(err), 12 if err.status == "503" else 2)
