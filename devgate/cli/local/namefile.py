"""What `devgate token` and `devgate user` share: files of names, which the gateway must read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from devgate.cli.language import said
from devgate.cli.output import (
    YES,
    Where,
    certain,
    common,
    complain,
    emit,
    fail,
    finish,
    say,
    table,
)

if TYPE_CHECKING:
    from devgate.config.settings import Settings

F = TypeVar("F", bound=Callable[..., object])

SHOWN = ("name", "role", "created")  # of an entry: never its hash

ROLES = ("read", "command", "admin")  # as `access.tokens` has them, which is not imported here

role_option = click.option(
    "--role",
    type=click.Choice(ROLES),
    default="command",
    show_default=True,
    help="read: look only; command: also start and stop; admin: everything.",
)


class Names(NamedTuple):
    """What differs between the files of tokens and of users."""

    kind: str  # what a line names: token or user
    setting: str  # that names the file
    read: Callable[[Settings], str]  # that setting
    load: Callable[[], Any]  # imports the module below `access` that keeps the file
    sample: str  # a name, for the help
    removed: str  # what a removal means to whoever has the name

    def option(self, command: F) -> F:
        """Give a command `--file`."""
        text = f"The {self.kind} file; without it, the configuration's {self.setting}."
        return click.option("--file", type=click.Path(dir_okay=False), help=text)(command)

    def file(self, where: Where, given: str | None) -> str:
        """The file that is meant: --file, or what the configuration has.
        Without one there is nothing to work on: exit code 2."""
        if given:
            return given
        from devgate.config.load import load
        from devgate.config.locate import find_config

        config = find_config(where.config_option, os.environ)
        path = self.read(load(config, os.environ))
        if not path:
            place = f"in {config}" if config else "and there is no configuration"
            fail(
                f"{self.setting} is not set {place}: set it to a file (a missing one is made),"
                " or name one with --file"
            )
        return path

    def add_list_and_remove(self, group: click.Group) -> None:
        """Add the two commands that work on both files alike."""

        @self.option
        @common
        def list_(where: Where, file: str | None) -> None:
            entries = self.load().entries(self.file(where, file))
            rows = [{name: getattr(one, name) for name in SHOWN} for one in entries]
            if where.as_json:
                for row in rows:
                    emit(row)
            elif rows:
                say(table([name.upper() for name in SHOWN], [tuple(row.values()) for row in rows]))
            else:
                none = f"no {self.kind}s; add one with `devgate {self.kind} add NAME`"
                click.echo(said(none), err=True)

        @click.argument("name")
        @YES
        @self.option
        @common
        def remove(where: Where, name: str, yes: bool, file: str | None) -> None:
            certain(f"Remove the {self.kind} {name}?", yes)
            self.load().remove(self.file(where, file), name)
            message = f"{self.kind} {name} removed"
            finish({"status": "200", "message": message, "name": name}, where.as_json)

        group.command("list", help=(
            f"List the {self.kind}s: names, roles and when they were added.\n\n"
            f"\b\nExample:\n  devgate {self.kind} list --json"
        ))(list_)  # fmt: skip
        group.command("remove", help=(
            f"Remove the {self.kind} NAME: {self.removed}.\n\n"
            f"\b\nExample:\n  devgate {self.kind} remove {self.sample} --yes"
        ))(remove)  # fmt: skip


@contextmanager
def handed_over(file: str) -> Iterator[str]:
    """The file's real path, to write to. One that root makes there goes to the gateway."""
    path = os.path.realpath(file)
    new = not os.path.exists(path)
    yield path
    if new and os.geteuid() == 0:
        _hand_over(path)


def _hand_over(path: str) -> None:
    """Give root's new file to the owner of its folder: the gateway, which must read it.

    The file is looked up in the very folder whose owner gets it, and given away only if it
    is the one that root has just made there, for that owner may have put another in its place.
    """
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        owner = os.fstat(folder)
        if owner.st_uid == 0:
            complain(f"only root can read the new file {path}: chown it to the gateway's user")
            return
        file = os.open(os.path.basename(path), os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
        try:
            info = os.fstat(file)
            if stat.S_ISREG(info.st_mode) and (info.st_uid, info.st_nlink) == (0, 1):
                os.fchown(file, owner.st_uid, owner.st_gid)
        finally:
            os.close(file)
    except OSError as err:
        complain(f"{path} stays root's ({err.strerror}): chown it to the gateway's user")
    finally:
        os.close(folder)
