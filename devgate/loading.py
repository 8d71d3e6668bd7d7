"""Loads the state of a gateway before its first door opens, from disk or from its predecessor; and
imports modules once its doors are open."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

import trio

from devgate.build import Parts, in_a_sentence
from devgate.errors import StoreError
from devgate.gateway import clock
from devgate.gateway.commands.recovery import recover
from devgate.gateway.devices.moving import MakeLink
from devgate.gateway.operations.entry import load
from devgate.net.acceptor import Acceptor
from devgate.store import history
from devgate.store.journal import Journal
from devgate.store.nodes import server_time
from devgate.upgrade import filling

if TYPE_CHECKING:
    from devgate.joined import Joined
    from devgate.upgrade.new import Successor

# Modules that devices do not need are imported after this time without a new connection; and the
# longest wait for that.
QUIET_SECONDS = 1.0
IMPORT_SECONDS = 10.0

log = logging.getLogger("devgate")


async def recover_from_disk(
    parts: Parts, joined: Joined | None, on_loaded: Callable[[], None]
) -> None:
    """Load the state from the database. Raises SetupError."""
    gateway, records = parts.gateway, parts.storage.records
    with in_a_sentence(parts.storage.database):
        if joined is not None:
            clock.shared.follow(await records.read(server_time))
        clock.shared.begin(await records.read(history.newest_trusted_at))
        gateway.trimming.report_clock()  # before each event whose time is in doubt
        await gateway.trimming.store_trusted_at()
        if joined is not None:
            await joined.check_files()
        await gateway.accounts.load()
        if gateway.settings.signs_by_database:
            await gateway.accounts.keep_secret()
        await gateway.knowledge.load()
        await gateway.quarantine.load()
        if joined is None:
            await gateway.late.import_file()
            if await recover(gateway.dispatcher, gateway.running, records):
                await records.flushed()  # so that their records are shown as ended
        gateway.orders.ids.after(await records.read(history.newest_id))
        await parts.keys.prepare()
        on_loaded()


async def inherit(
    parts: Parts, successor: Successor, make_link: MakeLink, on_loaded: Callable[[], None]
) -> None:
    """Take over the state of the running gateway, which is no gateway any more when this returns.
    Before, nothing is written except the secret of a database without one. If this raises
    SetupError, that gateway goes on."""
    gateway, records, journal = parts.gateway, parts.storage.records, parts.storage.journal
    assert isinstance(journal, Journal), "it works alone"
    with in_a_sentence(parts.storage.database):
        clock.shared.begin(await records.read(history.newest_trusted_at))
        await gateway.accounts.load()
        await gateway.knowledge.load()
        await gateway.quarantine.load()
        await parts.keys.prepare()
        if gateway.settings.signs_by_database:
            await gateway.accounts.keep_secret()
        # Imports for doors and callers are made before anybody has to wait.
        await trio.to_thread.run_sync(load)
        if gateway.settings.http.listen:
            await trio.to_thread.run_sync(import_module, "devgate.http.server")
        on_loaded()
        await successor.take_over(
            filling.Parts(gateway, parts.storage.database, journal, make_link, records.blocking)
        )
        # This process is the gateway now: an error of the database must not end all connections.
        try:
            await gateway.quarantine.load()  # it may have been lifted meanwhile
        except StoreError as err:
            log.warning("a quarantine that was lifted during the upgrade goes on reason=%s", err)
        successor.follow(gateway, parts.storage.writer.post)
        gateway.trimming.report_clock()


async def load_operations(acceptor: Acceptor) -> None:
    """Import the operations once no device waits: after a restart all of them connect at once. Not
    too late, because an upgrade may replace the files."""
    before = -1
    with trio.move_on_after(IMPORT_SECONDS):
        while before != acceptor.accepted:
            before = acceptor.accepted
            await trio.sleep(QUIET_SECONDS)
    with suppress(RuntimeError, MemoryError):  # no thread: then the first request imports them
        await trio.to_thread.run_sync(load)
