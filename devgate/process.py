"""The process of a gateway: its limits, its log, its database, its one trio run."""

from __future__ import annotations

import gc
import logging
import math
import os
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, TypeVar

import trio

from devgate import __version__, door_tls, logs
from devgate.access.tokens import entries
from devgate.app import App, Ready
from devgate.build import build, in_a_sentence
from devgate.config.exposure import exposed
from devgate.config.settings import Settings
from devgate.control.listeners import must_be_free
from devgate.early import StopRequested, until_stop_requested
from devgate.errors import SetupError, StoreAway, WrongSettings
from devgate.gateway.devices.parked_task import choose
from devgate.gateway.examination import Finding
from devgate.guard import AFTER_DRAIN_SECONDS, Guard
from devgate.net.given import Given, activated
from devgate.net.limits import capacity, raise_descriptor_limit
from devgate.store.engine import Database
from devgate.store.opening import claim_database
from devgate.systemd import starting
from devgate.upgrade.program import inherited
from devgate.webhooks import configured

if TYPE_CHECKING:
    from devgate.store.nodes import Member
    from devgate.upgrade.new import Successor

RETRY_SECONDS = 1.0  # until the next try if the database server cannot be reached
LOG_INTERVAL_SECONDS = 60.0  # between two lines about that
EXTEND_TIMEOUT_SECONDS = 60.0  # by which systemd is asked to extend the timeout of the start

IS_NODE = (
    "this gateway is a node of a cluster, which is upgraded node by node: drain it "
    "(`devgate nodes drain`), and restart it with the new version"
)
IS_PART = (
    "this gateway was not started by `devgate serve`, or is a demo: stop it, and start the new "
    "version"
)

T = TypeVar("T")

log = logging.getLogger("devgate")


def check(settings: Settings, *, standby: bool = False) -> None:
    """Check everything that needs no open door. Raises WrongSettings: `serve` ends with the same
    exit code for it as `serve --check`."""
    try:
        _check(settings, standby)
    except SetupError as err:
        raise WrongSettings(str(err)) from err


def _check(settings: Settings, standby: bool) -> None:
    if standby:
        from devgate.standby import possible  # only a standby needs it

        possible(settings)
    door_tls.check(settings)
    if settings.control.tokens:
        entries(settings.control.tokens)
    if settings.http.users:
        from devgate.access.users import entries as users  # Argon2: not needed without HTTP

        users(settings.http.users)
    configured.check(settings)


def open_to_others(settings: Settings) -> Iterator[str]:
    """What the configuration exposes to other hosts, in sentences."""
    yield from exposed(settings)


def unreachable(settings: Settings) -> Iterator[str]:
    """The webhooks that nothing can be posted to, in sentences."""
    yield from configured.private(settings)


def promises(settings: Settings) -> Iterator[str]:
    """What the settings of the database server mean for confirmed starts, in sentences."""
    from devgate.store.promise import look  # a running gateway does not need it

    yield from look(settings.store.url, cluster=bool(settings.cluster.node))


def serve(
    settings: Settings,
    read_settings: Callable[[], Settings],
    on_ready: Ready,
    prepare: Callable[[Database], None] | None = None,
    *,
    standby: bool = False,
    alone: bool = False,
) -> None:
    """Block until the gateway has stopped. Raises SetupError for what an operator can correct.

    `read_settings` is called on SIGHUP and may raise SetupError. `prepare` writes first rows into
    the database: it is called once the database is claimed for this gateway. `standby`: wait as
    long as another gateway works with the database. `alone`: this process does nothing else, so
    the same command line starts a gateway that can take over from this one.
    """
    logs.set_up(settings.log.level, settings.log.format)
    successor = None
    try:
        if (sock := inherited(os.environ)) is not None:
            from devgate.upgrade.new import Successor  # only a successor needs it

            successor = Successor(sock)
            successor.begin()
        _serve(settings, read_settings, on_ready, prepare, standby, alone, successor)
    except SetupError as err:
        if successor is not None:
            log.error("nothing is taken over reason=%s", err)
            successor.fails(str(err))
        raise
    finally:
        logs.close()


def _serve(
    settings: Settings,
    read_settings: Callable[[], Settings],
    on_ready: Ready,
    prepare: Callable[[Database], None] | None,
    standby: bool,
    alone: bool,
    successor: Successor | None,
) -> None:
    app: App | None = None

    def before_exit() -> None:
        if app is not None:
            app.write_side_file()

    # Early, because later there may be no memory for its threads.
    guard = Guard(before_exit)
    soft, _ = raise_descriptor_limit()
    # The writer's thread needs the interpreter for some microseconds, several times for each
    # start. It must not wait the default of 5 ms each time while the loop is busy.
    sys.setswitchinterval(0.0005)
    log.info("descriptors limit=%s devices=%s", soft, capacity())
    check(settings, standby=standby)
    for words in exposed(settings):
        log.warning("exposed reason=%s", words)
    for words in unreachable(settings):
        log.warning("webhook cannot be posted to reason=%s", words)
    given = None
    found: tuple[Database, Member | None] | None
    if successor is not None:
        if settings.cluster.node:
            raise SetupError(IS_NODE)
        found = successor.open(settings.store.url), None
    elif standby:
        from devgate.standby import stand_by

        database = stand_by(settings)
        found = None if database is None else (database, None)
    else:
        opened = activated(os.environ, os.getpid())
        given = Given(opened, must_be_used=True)
        if not any(one.sock.family == socket.AF_UNIX for one in opened):
            must_be_free(settings.control.socket)
        found = waiting_for(partial(_claimed, settings))
    if found is None:
        log.info("stopped")
        return
    database, member = found
    try:
        if prepare is not None:
            prepare(database)
        with in_a_sentence(database):
            if member is None:
                parts, joined = (
                    build(settings, database, make_task=choose(), examine=_examined),
                    None,
                )
            else:
                from devgate.build_node import build_node  # only a node needs it
                from devgate.joined import Joined

                made = build_node(settings, database, member, choose(), _examined)
                parts, joined = made.parts, Joined(made, settings)
        why_not = IS_NODE if joined else "" if alone else IS_PART
        app = App(
            parts, read_settings, guard, keep_what_is_loaded, joined, successor, given, why_not
        )
        try:
            trio.run(app.run, on_ready)
        finally:
            # From here on the process has no door, and a thread may still keep it alive.
            guard.arm(AFTER_DRAIN_SECONDS, "a thread that does not end")
    except* SetupError as group:
        raise first(group) from None
    finally:
        database.close()
    # The kernel frees the memory of the process: a collection would only delay a restart.
    gc.freeze()
    log.info("stopped")


def _examined(settings: Settings) -> list[Finding]:
    """The findings of `devgate doctor` for these settings. It blocks."""
    from devgate.doctor.examine import examine_settings, worst_first  # needed only on request

    found = worst_first(examine_settings(settings, settings.control.socket))
    return [Finding(one.severity.value, *one[1:]) for one in found]


def keep_what_is_loaded() -> None:
    """Exclude all objects that exist now from garbage collection. Called before the first door."""
    # What is loaded stays, so scanning it again finds nothing. With very many parked tasks a full
    # collection would stop the loop for a quarter of a second.
    gc.collect()
    gc.freeze()
    # The youngest generation is collected often: what the collector frees, it frees at once, and
    # freeing 100,000 objects stops the loop for a sixth of a second. Live objects take time, too:
    # beside peers that open and end connections, a collection of 10,000 took up to 15 ms, and one
    # of 2,000 takes 3.
    gc.set_threshold(2_000, 250, 1000)


def _claimed(settings: Settings) -> tuple[Database, Member | None]:
    """The database, claimed for this gateway alone, or for this node of a cluster."""
    if settings.cluster.node:
        from devgate.store.node_opening import node_database  # only a node needs it

        return node_database(settings.store.url, settings.cluster.node, __version__)
    return claim_database(settings.store.url), None


def waiting_for(claim: Callable[[], T]) -> T | None:
    """Claim the database. Waits for a server that cannot be reached, with one log line a minute.
    None: SIGTERM or SIGINT came meanwhile. Raises SetupError for errors that waiting does not
    correct: a wrong password, another gateway."""
    said = -math.inf
    try:
        with until_stop_requested():
            while True:
                try:
                    return claim()
                except StoreAway as err:
                    if monotonic() - said >= LOG_INTERVAL_SECONDS:
                        said = monotonic()
                        log.warning("waiting for the database reason=%s", err)
                    starting(f"waiting for the database: {err}", EXTEND_TIMEOUT_SECONDS)
                sleep(RETRY_SECONDS)
    except StopRequested:
        return None


def first(group: BaseExceptionGroup[SetupError]) -> SetupError:
    """One of the errors: one sentence is enough for the person who reads it."""
    inner = group.exceptions[0]
    return first(inner) if isinstance(inner, BaseExceptionGroup) else inner
