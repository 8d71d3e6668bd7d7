"""Builds every part of a gateway, in the order in which they need one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from devgate import logs
from devgate.access.tokens import Tokens
from devgate.alerts.certificates import Certificates
from devgate.config.settings import CommandSettings, Settings
from devgate.config.store import StoreSettings
from devgate.door_tls import certificate_files
from devgate.errors import SetupError, StoreError
from devgate.events.kinds import Event
from devgate.events.log import EventLog, EventPage
from devgate.gateway import clock
from devgate.gateway.accounts import Accounts
from devgate.gateway.added_webhooks import Positions
from devgate.gateway.alerting import Alerts
from devgate.gateway.background import Background
from devgate.gateway.commands.device_commands import Connected
from devgate.gateway.commands.dispatcher import Dispatcher
from devgate.gateway.commands.keys import Keys
from devgate.gateway.commands.orders import Orders, TakesOrders
from devgate.gateway.commands.running import Running
from devgate.gateway.commands.side_file import LateOutcomes
from devgate.gateway.counters import StoreCounts
from devgate.gateway.devices.desk import Desk
from devgate.gateway.devices.parked_task import MakeTask, as_object
from devgate.gateway.devices.presence import Presence
from devgate.gateway.devices.registry import Flapping
from devgate.gateway.devices.unregistered import Holds
from devgate.gateway.examination import Examination, Finding
from devgate.gateway.gateway import Gateway
from devgate.gateway.known.directory import Directory
from devgate.gateway.known.sync import Knowledge
from devgate.gateway.log_level import LogLevel
from devgate.gateway.membership import Membership
from devgate.gateway.quarantine import Quarantine
from devgate.gateway.refusals import Refusals
from devgate.gateway.renewals import Renewals
from devgate.gateway.reports.usage import Usage
from devgate.gateway.storage import Names, Records
from devgate.gateway.trimming import Trimming
from devgate.model import Imei
from devgate.net.acceptor import Acceptor
from devgate.net.limits import Crowds
from devgate.net.poller import Poller
from devgate.net.tls_contexts import TlsContexts
from devgate.store import following, late
from devgate.store.batch import Row, disposable
from devgate.store.engine import Database
from devgate.store.journal import Journal, resume_of
from devgate.store.journals import Writes
from devgate.store.outage import in_words, outage
from devgate.store.seal import Seal
from devgate.store.writer import Writer
from devgate.webhooks.webhooks import Webhooks


class Storage:
    """The way to the database and back: rows are journalled, their events published.

    `on_well` is called when commands are taken again, and `measured` after every commit, with its
    seconds and rows.
    """

    # What tests that keep their own time have instead, for it is the outermost edge.
    make_writer: ClassVar[type[Writer[Row, list[tuple[Any, ...]]]]] = Writer
    make_records: ClassVar[type[Records]] = Records
    make_events: ClassVar[type[EventLog]] = EventLog
    outage = staticmethod(outage)
    idle = 5.0  # seconds without rows after which the writer tries whether it can write

    def __init__(
        self,
        database: Database,
        names: Names,
        settings: StoreSettings,
        *,
        on_well: Callable[[], None],
        measured: Callable[[float, int], None] = lambda seconds, rows: None,
    ) -> None:
        self.database = database
        journal = Journal(database, resume=resume_of(settings))
        self.journal: Writes = journal
        self.events = self.make_events(journal.last, self.older_events)
        self.writer: Writer[Row, Any] = self.make_writer(
            journal.commit, self.events.publish, self.outage, disposable=disposable,
            idle=self.idle, on_well=lambda: self.records.well(), measured=measured,
        )  # fmt: skip
        self.records = self.make_records(database, self.writer, names, on_well)

    async def older_events(self, after: int, until: int, limit: int, types: Set[str]) -> EventPage:
        """A page of the log behind `after`, up to `until`, from disk. Raises StoreError."""
        rows, first, end = await self.records.read(following.page, after, until, limit, types)
        return EventPage([Event.of(row) for row in rows], first, end)


MakeStorage = Callable[..., Storage]


class CommandParts(NamedTuple):
    """The parts through which a command passes."""

    running: Running
    dispatcher: Dispatcher
    keys: Keys
    orders: TakesOrders


def commands(
    storage: Storage,
    connected: Connected,
    directory: Directory,
    settings: CommandSettings,
    background: Background | None = None,
) -> CommandParts:
    """Build them over this storage, for the devices that are connected there."""
    records, owner = storage.records, storage.database.owner
    running = Running(directory)
    # Each run numbers its commands above those of all runs before it.
    sequence = 0 if owner is None else owner.epoch << 32
    dispatcher = Dispatcher(connected, directory, records, running, settings, sequence)
    keys = Keys(records, background)
    orders = Orders(directory, connected, dispatcher, running, records, keys)
    return CommandParts(running, dispatcher, keys, orders)


# What is wrong with the gateway and its machine, by these settings.
Examine = Callable[[Settings], Sequence[Finding]]
MakeCommands = Callable[[Storage, Presence, Directory, CommandSettings, Background], CommandParts]


@dataclass(frozen=True, slots=True)
class Parts:
    """What `App` runs."""

    gateway: Gateway
    storage: Storage
    keys: Keys
    poller: Poller
    tokens: Tokens | None  # None: control asks for none


def build(
    settings: Settings,
    database: Database,
    *,
    make_storage: MakeStorage = Storage,
    make_commands: MakeCommands = commands,
    wall_clock: clock.Clock | None = clock.shared,
    make_task: MakeTask = as_object,
    examine: Examine | None = None,
    cluster: Membership | None = None,
    directory: Directory | None = None,
    make_knowledge: Callable[..., Knowledge] = Knowledge,
    holds: Holds | None = None,
) -> Parts:
    """All parts of a gateway. None of them runs yet, and no door is open.

    `make_storage`, `make_commands`, `cluster`, `directory`, `make_knowledge` and `holds` are a
    node's own. `wall_clock` decides what is deleted; None: one of its own. `make_task` gives the
    tasks of connections their form (`parked_task.choose`). `examine` says what `devgate doctor`
    finds; it blocks.
    Raises StoreError (in the database's words, `in_a_sentence`) and SetupError.
    """
    dispatcher: Dispatcher
    acceptor: Acceptor
    gateway: Gateway
    device, control = settings.device, settings.control
    background, commits, refusals = Background(), StoreCounts(), Refusals()
    tls_contexts, renewals = TlsContexts(), Renewals(background)
    if directory is None:
        directory = Directory(settings.service.phone, settings.service.qr)
    storage = make_storage(
        database, directory, settings.store,
        on_well=lambda: dispatcher.store_well(), measured=commits.committed,
    )  # fmt: skip
    records = storage.records
    flapping = device.flapping
    presence = Presence(records, Flapping(flapping.takeovers, flapping.within, flapping.starts))
    running, dispatcher, keys, orders = make_commands(
        storage, presence, directory, settings.command, background
    )
    poller = Poller()
    crowds = Crowds(device.max_connections_per_address)
    desk = Desk(
        poller, device, directory, presence, dispatcher, records, refusals,
        crowds, lambda: acceptor.crowded, make_task, holds,
    )  # fmt: skip
    acceptor = Acceptor(
        desk.connections.__len__,
        crowds,
        max_connections=device.max_connections,
        make_room=desk.lifetimes.make_room,
        strict=desk.lifetimes.strict,
        proxied=device.proxy_protocol,
        user_timeout=device.idle_timeout,
    )
    knowledge = make_knowledge(
        directory, records, presence.end, background,
        refresh_seconds=settings.store.refresh,
        tells=lambda: cluster is None or cluster.leads,
    )  # fmt: skip
    side_file = late.place(database.file, Path(control.socket).parent, database.owner)
    seal = Seal(settings.store.key_file)
    positions = Positions(records, seal, allow_private=control.private_webhooks)
    certificates = Certificates(lambda: certificate_files(gateway.settings))
    alerts = Alerts(
        records, seal, background, certificates, lambda: _attention(gateway),
        allow_private=control.private_webhooks,
        leads=lambda: cluster is None or cluster.leads,
        node="" if cluster is None else cluster.node,
        zone=lambda: gateway.settings.report.zone,
        maintained=lambda imei, site: directory.maintenance.of(Imei(imei), site) is not None,
    )  # fmt: skip
    trimming = Trimming(records, settings, background, wall_clock)
    gateway = Gateway(
        settings=settings,
        directory=directory,
        presence=presence,
        dispatcher=dispatcher,
        running=running,
        orders=orders,
        knowledge=knowledge,
        records=records,
        events=storage.events,
        desk=desk,
        acceptor=acceptor,
        trimming=trimming,
        usage=Usage(records, settings, background, trimming.clock),
        webhooks=Webhooks(settings.webhook, storage.events, positions),
        seal=seal,
        alerts=alerts,
        certificates=certificates,
        quarantine=Quarantine(records, orders.bar),
        late=LateOutcomes(
            records, running, dispatcher.live, database.owner, side_file, dispatcher.withdraw
        ),
        background=background,
        tls_contexts=tls_contexts,
        renewals=renewals,
        log_level=LogLevel(settings.log.level, logs.set_level),
        commits=commits,
        refusals=refusals,
        accounts=Accounts(
            records,
            background,
            tokens=control.tokens,
            users=settings.http.users,
            shared=cluster is not None,
        ),
        examination=Examination(None if examine is None else lambda: examine(gateway.settings)),
        log_dropped=logs.dropped,
        cluster=cluster,
    )
    tokens = gateway.accounts.tokens if control.tokens else None
    return Parts(gateway, storage, keys, poller, tokens)


async def _attention(gateway: Gateway) -> Sequence[Mapping[str, Any]]:
    # Here, because it belongs to what is loaded later (`operations.entry`).
    from devgate.gateway.operations.fleet import attention_now

    return await attention_now(gateway)


@contextmanager
def in_a_sentence(database: Database) -> Iterator[None]:
    """A database that cannot be read when the gateway starts is for its operator: SetupError."""
    try:
        with in_words():
            yield
    except StoreError as err:
        text = f"[store] url: the database {database.url_shown} cannot be used: {err}"
        raise SetupError(text, status="503") from err
