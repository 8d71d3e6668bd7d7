"""The process around a gateway: its limits, its log, its database, its one trio run."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable

import trio

from devgate import logs
from devgate.app import App, Ready, in_a_sentence, tls_of
from devgate.config.settings import Settings
from devgate.control.doors import must_be_free
from devgate.errors import SetupError
from devgate.events.webhooks import secret_of
from devgate.gateway.access import entries
from devgate.guard import AFTER_DRAIN_SECONDS, Guard
from devgate.net.limits import capacity, raise_descriptor_limit
from devgate.store.engine import Database, claim_database

log = logging.getLogger("devgate")


def check(settings: Settings) -> None:
    """Try what can be tried without opening a door. Raises SetupError."""
    tls_of(settings.device.tls)
    tls_of(settings.control.tls)
    tls_of(settings.http.tls)
    if settings.control.tokens:
        entries(settings.control.tokens)
    if settings.http.users:
        from devgate.http.users import entries as users  # a gateway without HTTP needs no Argon2

        users(settings.http.users)
    for webhook in settings.webhook:
        secret_of(webhook)


def serve(
    settings: Settings,
    read_settings: Callable[[], Settings],
    on_ready: Ready,
    prepare: Callable[[Database], None] | None = None,
) -> None:
    """Block until the gateway has stopped. Raises SetupError for what an operator can mend.

    `read_settings` is called on SIGHUP and may raise SetupError. `prepare` writes what shall be
    in the database: it is called once the database is claimed, and by nobody else's gateway.
    """
    logs.set_up(settings.log.level, settings.log.format)
    try:
        _serve(settings, read_settings, on_ready, prepare)
    finally:
        logs.close()


def _serve(
    settings: Settings,
    read_settings: Callable[[], Settings],
    on_ready: Ready,
    prepare: Callable[[Database], None] | None,
) -> None:
    guard = Guard()
    soft, _ = raise_descriptor_limit()
    # The writer's thread is back in the interpreter for microseconds at a time, and a start
    # waits for each of them: it shall not wait the usual 5 ms for a loop that is busy.
    sys.setswitchinterval(0.0005)
    log.info("descriptors limit=%s devices=%s", soft, capacity())
    check(settings)
    must_be_free(settings.control.socket)
    database = claim_database(settings.store.url)
    try:
        if prepare is not None:
            prepare(database)
        with in_a_sentence(database):
            app = App(settings, database, read_settings, guard)
        try:
            trio.run(app.run, on_ready)
        finally:
            # From here on a thread may keep the process, which has no door any more, alive.
            guard.arm(AFTER_DRAIN_SECONDS, "a thread that does not end")
    except* SetupError as group:
        raise first(group) from None
    finally:
        database.close()
    # What is left is the kernel's to take back: looking through it would only delay a restart.
    gc.freeze()
    log.info("stopped")


def first(group: BaseExceptionGroup[SetupError]) -> SetupError:
    """One of them: each is a sentence for the same person, and one will do."""
    inner = group.exceptions[0]
    return first(inner) if isinstance(inner, BaseExceptionGroup) else inner
