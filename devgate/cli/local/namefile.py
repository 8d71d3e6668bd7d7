"""What `devgate token` and `devgate user` share: files of names, which the gateway must read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from devgate.cli.output import Where, complain, emit, fail, say, table

if TYPE_CHECKING:
    from devgate.config.settings import Settings


def show(rows: Sequence[Mapping[str, Any]], as_json: bool, none: str) -> None:
    """The entries of a file; `none` is said on stderr where there are none."""
    if as_json:
        for row in rows:
            emit(row)
    elif rows:
        say(table(("NAME", "ROLE", "CREATED"), [tuple(row.values()) for row in rows]))
    else:
        click.echo(none, err=True)


def named_file(
    where: Where, file: str | None, setting: str, read: Callable[[Settings], str]
) -> str:
    """The file that is meant: --file, or what `read` finds in the configuration under `setting`.
    Without one there is nothing to work on: exit code 2."""
    if file:
        return file
    from devgate.config.load import load
    from devgate.config.locate import find_config

    config = find_config(where.config_option, os.environ)
    path = read(load(config, os.environ))
    if not path:
        place = f"in {config}" if config else "and there is no configuration"
        fail(
            f"{setting} is not set {place}: set it to a file (a missing one is made),"
            " or name one with --file"
        )
    return path


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
