"""Whether the gateway's own user may use its files. Needs root, who can see all of them."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from devgate.config import credentials
from devgate.config.exposure import secret_files
from devgate.config.settings import Settings
from devgate.doctor import database
from devgate.doctor.finding import Finding, Findings, error, ok
from devgate.doctor.running import RunningGateway

CHECK = "owners"
READ, WRITE = 4, 2


class GatewayUser(NamedTuple):
    """The user that the gateway runs as."""

    uid: int
    groups: frozenset[int]

    def may(self, found: os.stat_result, what: int) -> bool:
        """Whether this user may do that (READ, WRITE) with a file, by its mode."""
        if self.uid == 0:
            return True
        if found.st_uid == self.uid:
            return bool(found.st_mode >> 6 & what)
        if found.st_gid in self.groups:
            return bool(found.st_mode >> 3 & what)
        return bool(found.st_mode & what)

    @property
    def name(self) -> str:
        """The user's name, for people."""
        return _name(self.uid)


def examine(settings: Settings, running: RunningGateway | None) -> Findings:
    """The files of the database and of secrets."""
    user = _user(settings, running)
    if user is None:
        return
    faults = list(_faults(settings, user))
    yield from faults or [ok(CHECK, f"{user.name} may use its files")]


def _user(settings: Settings, running: RunningGateway | None) -> GatewayUser | None:
    """The user of the running gateway; else the owner of SQLite's file."""
    if running is not None and running.pid:
        # Not the owner of the socket's file: after an upgrade the process that made it has ended.
        status = Path(f"/proc/{running.pid}/status").read_text()
        values = {line.split(":")[0]: line.split()[1:] for line in status.splitlines()}
        groups = map(int, [values["Gid"][1], *values["Groups"]])
        return GatewayUser(int(values["Uid"][1]), frozenset(groups))
    file = database.file_of(settings)
    if file is None or not file.exists():
        return None
    found = file.stat()
    return GatewayUser(found.st_uid, frozenset([found.st_gid]))


def _faults(settings: Settings, user: GatewayUser) -> Iterator[Finding]:
    file = database.file_of(settings)
    if file is not None:
        beside = (
            file.with_name(file.name + end) for end in ("", "-wal", "-shm", ".lock", ".move")
        )
        for one in (file.parent, *beside):
            yield from _fault(
                str(one), user, WRITE, f"who may not write to {one}", f"chown {user.name} {one}"
            )
    for _, secret in secret_files(settings):
        # Credentials of systemd have an access list of their own.
        if not Path(secret).is_relative_to(credentials.PLACE):
            why = f"who may not read {secret}"
            yield from _fault(secret, user, READ, why, f"chgrp it, and chmod g+r: {secret}")


def _fault(file: str, user: GatewayUser, what: int, why: str, action: str) -> Iterator[Finding]:
    try:
        found = os.stat(file)
    except OSError:
        return  # it does not exist yet, or this user may not see it
    if not user.may(found, what):
        owner, mode = _name(found.st_uid), stat.S_IMODE(found.st_mode)
        yield error(
            CHECK,
            f"the gateway runs as {user.name}, {why}: it is {owner}'s (mode {mode:04o})",
            action,
        )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
