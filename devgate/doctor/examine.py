"""All checks, one after the other. A check that fails is a finding, and the others go on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from devgate import __version__
from devgate.config.load import load
from devgate.config.settings import Settings
from devgate.config.unused import unused
from devgate.doctor import (
    backups,
    database,
    disk,
    doors,
    files,
    owners,
    provider,
    running,
    system,
)
from devgate.doctor.finding import Finding, Findings, Severity, error, ok, warning
from devgate.errors import SetupError


def examine(
    config: str | os.PathLike[str] | None, env: Mapping[str, str], socket: str
) -> Findings:
    """Look at everything. `config` is the file, if there is one; `socket` the control socket."""
    try:
        settings = load(config, env)
    except SetupError as err:
        for line in str(err).splitlines():
            yield error("configuration", line, "mend it, then `devgate serve --check`")
        return
    yield from examine_settings(settings, socket)


def examine_settings(settings: Settings, socket: str) -> Findings:
    """Look at everything, by settings that were read already."""
    yield from _configuration(settings)
    gateway = running.find(socket)
    yield from running.examine(socket, gateway, __version__)
    if gateway is not None:
        yield from _guarded("gateway", partial(running.same, socket, gateway, settings))
    health = database.health(settings)
    devices, found = 0, None
    if isinstance(health, Finding):
        yield health
    else:
        devices, found = health.devices, health
        yield from _guarded("database", partial(database.examine, settings, health))
    yield from _guarded("backups", partial(backups.examine, settings, found))
    file = database.file_of(settings)
    if file is not None:
        yield from _guarded("disk", partial(disk.examine, file))
    yield from _guarded("system", partial(system.examine, devices, gateway))
    if gateway is not None or not running.hidden(socket):
        yield from _guarded("ports", partial(doors.examine, settings, gateway))
    if gateway is not None:
        yield from _guarded("socket", partial(doors.socket_file, socket, settings.control.mode))
    yield from _guarded("webhooks", partial(doors.webhooks, settings, socket, gateway))
    yield from _guarded("files", partial(files.examine, settings))
    yield from _guarded("owners", partial(owners.examine, settings, gateway))
    yield from _guarded("logins", partial(provider.examine, settings))


def worst_first(found: Iterable[Finding]) -> list[Finding]:
    """In the order in which they are shown."""
    order = list(Severity)
    return sorted(found, key=lambda finding: order.index(finding.severity))


def _configuration(settings: Settings) -> Findings:
    idle = [
        warning("configuration", words, "remove the key, or set what it needs")
        for words in unused(settings)
    ]
    yield from idle or [ok("configuration", "it is right, and every key has an effect")]


def _guarded(name: str, check: Callable[[], Findings]) -> Findings:
    try:
        yield from check()
    except OSError as err:
        yield warning(name, f"this could not be looked at: {err}", "run `devgate doctor` as root")
