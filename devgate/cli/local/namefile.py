"""Files of names, for `devgate token` and `devgate user`: the gateway must read them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from devgate.cli.output import print_error


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
            print_error(f"only root can read the new file {path}: chown it to the gateway's user")
            return
        file = os.open(os.path.basename(path), os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
        try:
            info = os.fstat(file)
            if stat.S_ISREG(info.st_mode) and (info.st_uid, info.st_nlink) == (0, 1):
                os.fchown(file, owner.st_uid, owner.st_gid)
        finally:
            os.close(file)
    except OSError as err:
        print_error(f"{path} stays root's ({err.strerror}): chown it to the gateway's user")
    finally:
        os.close(folder)
