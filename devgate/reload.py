"""Puts changed settings in force while the gateway runs (SIGHUP)."""

from __future__ import annotations

import logging
from collections.abc import Callable

from devgate.access.tokens import Tokens
from devgate.config.load import differences, with_changes
from devgate.config.settings import Settings
from devgate.errors import SetupError
from devgate.gateway.gateway import Gateway
from devgate.store.journals import Writes

log = logging.getLogger("devgate")


def reload(
    gateway: Gateway, journal: Writes, tokens: Tokens | None, read: Callable[[], Settings]
) -> None:
    """Put changed settings in force, as far as they need no restart.

    `read` reads the configuration. If it raises SetupError, the old settings stay in force and the
    log says why. The doors must be open.
    """
    try:
        new = read()
        keys, restart = differences(gateway.settings, new)
    except SetupError as err:
        for line in str(err).splitlines():
            log.error("settings not reloaded, the old ones stay error=%s", line)
        return
    settings = with_changes(gateway.settings, new, keys)
    gateway.apply(settings)
    gateway.trimming.apply(settings)
    gateway.usage.apply(settings)
    gateway.directory.apply(settings.service)
    gateway.dispatcher.apply(settings.command)
    gateway.desk.apply(settings.device)
    gateway.presence.apply(settings.device.flapping)
    gateway.acceptor.apply(
        settings.device.max_connections, settings.device.max_connections_per_address
    )
    gateway.knowledge.apply(settings.store)
    journal.apply(settings.store)
    if tokens is not None:
        tokens.apply(settings.control)
    gateway.log_level.apply(settings.log.level)
    log.info("settings reloaded changed=%s", ",".join(keys) or "nothing")
    if restart:
        log.warning("a restart is needed for changed=%s", ",".join(restart))
