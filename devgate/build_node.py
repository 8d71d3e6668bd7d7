"""Builds a gateway that is one node of a cluster: what `build` makes, with a node's own parts."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from devgate.build import CommandParts, Examine, Parts, Storage, build
from devgate.cluster.hops import Hops
from devgate.cluster.links import Links
from devgate.config.settings import CommandSettings, Settings
from devgate.config.store import StoreSettings
from devgate.door_tls import files
from devgate.gateway.background import Background
from devgate.gateway.clock import time
from devgate.gateway.commands.running import Running
from devgate.gateway.devices.parked_task import MakeTask
from devgate.gateway.devices.presence import Presence
from devgate.gateway.known.directory import Directory
from devgate.gateway.nodes.claimed import Claimed
from devgate.gateway.nodes.directory import NodeDirectory
from devgate.gateway.nodes.dispatcher import NodeDispatcher
from devgate.gateway.nodes.following import Following
from devgate.gateway.nodes.keys import NodeKeys, NodeOrders
from devgate.gateway.nodes.knowledge import NodeKnowledge
from devgate.gateway.nodes.node import ClusterNode
from devgate.gateway.nodes.records import NodeRecords
from devgate.gateway.nodes.registrations import Registrations
from devgate.gateway.nodes.routing import Routing
from devgate.gateway.storage import Names
from devgate.model import Imei
from devgate.net.tls_contexts import TlsContexts
from devgate.store.batch import Row
from devgate.store.engine import Database
from devgate.store.node_commits import Committed
from devgate.store.node_journal import NodeJournal
from devgate.store.node_session import NodeSession
from devgate.store.nodes import BEAT_SECONDS, Member, Node
from devgate.store.writer import Writer

REFRESH_SECONDS = 1.0  # until every node knows what was changed of the devices


class NodeStorage(Storage):
    """The way to the database that nodes share."""

    records: NodeRecords

    def __init__(
        self,
        database: Database,
        names: Names,
        settings: StoreSettings,
        *,
        on_well: Callable[[], None],
        measured: Callable[[float, int], None],
        member: Member,
        on_commit: Callable[[Committed], None],
        generation_of: Callable[[Imei], int | None],
        late_window: float,
    ) -> None:
        self.database = database
        journal = NodeJournal(
            database, member, late_window=late_window, seen=lambda: self.events.last, clock=time
        )
        self.journal = self.node_journal = journal
        self.events = self.make_events(journal.last, self.older_events)
        self.writer = Writer(
            journal.commit, on_commit, self.outage,
            disposable=_disposable, idle=BEAT_SECONDS,
            on_well=lambda: self.records.well(), measured=measured,
        )  # fmt: skip
        self.records = NodeRecords(
            database, self.writer, names, on_well,
            generation_of=generation_of, by_own_clock=journal.here,
        )  # fmt: skip


def _disposable(row: Row) -> bool:
    return row.kind in ("running", "target")


@dataclass(frozen=True, slots=True)
class NodeParts:
    """What makes a gateway a node."""

    parts: Parts
    member: Member
    node: ClusterNode
    hops: Hops
    session: NodeSession


@dataclass(frozen=True, slots=True)
class _Membership:
    """Which node this is, for operations."""

    node: str
    incarnation: int
    of: Callable[[], ClusterNode]

    @property
    def nodes(self) -> Sequence[Node]:
        return self.of().nodes

    @property
    def leads(self) -> bool:
        return self.of().leadership.held

    @property
    def draining(self) -> bool:
        return bool(self.of().draining.value)


def build_node(
    settings: Settings,
    database: Database,
    member: Member,
    make_task: MakeTask,
    examine: Examine | None = None,
) -> NodeParts:
    """All parts of a node. None of them runs yet, and no door is open.

    Raises what build() raises.
    """
    node: ClusterNode
    parts: Parts
    knowledge: NodeKnowledge
    tls: Callable[[], ssl.SSLContext | None]
    session = NodeSession(database, member)
    hops = Hops(
        Links(member.id, lambda: member.secret, lambda name: node.address(name), lambda: tls())
    )
    refresh = min(settings.store.refresh, REFRESH_SECONDS)
    store = settings.store.model_copy(update={"refresh": refresh})
    claimed: Claimed
    directory = NodeDirectory(
        settings.service.phone,
        settings.service.qr,
        connected=lambda imei: parts.gateway.presence.get(imei),
        connections=lambda: len(parts.gateway.presence),
    )
    registrations = Registrations(
        directory,
        lambda imei, on_learned: knowledge.ask(imei, on_learned),
        lambda connection, events: parts.gateway.desk.answer_held(connection, events),
    )

    def make_commands(
        storage: Any,
        presence: Presence,
        directory: Directory,
        command: CommandSettings,
        background: Background,
    ) -> CommandParts:
        nonlocal claimed
        records: NodeRecords = storage.records
        claimed = Claimed(presence)
        running = Running(directory)
        dispatcher = NodeDispatcher(
            claimed, directory, records, running, command, member.incarnation << 32,
            trusted=storage.node_journal.trusted,
        )  # fmt: skip
        keys = NodeKeys(records, background)
        orders = NodeOrders(directory, claimed, dispatcher, running, records, keys)
        routing = Routing(
            orders, dispatcher, claimed, records, member.id, hops,
            lambda imeis: parts.gateway.knowledge.learn(imeis),
        )  # fmt: skip
        return CommandParts(running, dispatcher, keys, routing)

    parts = build(
        settings.model_copy(update={"store": store}),
        database,
        make_storage=partial(
            NodeStorage, member=member, on_commit=lambda done: node.committed(done),
            generation_of=lambda imei: claimed.generation(imei),
            late_window=settings.command.late_window,
        ),
        make_commands=make_commands,
        make_task=make_task,
        cluster=_Membership(member.id, member.incarnation, lambda: node),
        examine=examine,
        directory=directory,
        make_knowledge=partial(
            NodeKnowledge, soon=lambda task: parts.gateway.dispatcher.soon(task)
        ),
        holds=registrations,
    )  # fmt: skip
    gateway, storage = parts.gateway, parts.storage
    tls = _tls(settings, gateway.tls_contexts)
    dispatcher, records = gateway.dispatcher, gateway.records
    assert isinstance(gateway.knowledge, NodeKnowledge)
    knowledge = gateway.knowledge
    assert isinstance(storage, NodeStorage)
    assert isinstance(dispatcher, NodeDispatcher)
    assert isinstance(records, NodeRecords)

    def on_event(event: Sequence[Any]) -> None:
        node.on_event(event)
        if event[1].startswith("quarantine."):  # another node has changed it
            dispatcher.soon(
                partial(gateway.background.until_done, "quarantine", gateway.quarantine.load, 1.0)
            )

    following = Following(storage.events, records, on_event)
    node = ClusterNode(
        member, storage.node_journal, session, records, gateway.presence, claimed, dispatcher,
        gateway.running, following, gateway.background, registrations,
    )  # fmt: skip
    return NodeParts(parts, member, node, hops, session)


def _tls(settings: Settings, contexts: TlsContexts) -> Callable[[], ssl.SSLContext | None]:
    """For the side that connects. Raises SetupError if a file cannot be used."""
    tls = settings.cluster.tls
    return contexts.client("cluster", *files(tls)) if tls else lambda: None
