"""The parts of a gateway under one name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from devgate.alerts.certificates import Certificates
from devgate.events.log import EventLog
from devgate.gateway.accounts import Accounts
from devgate.gateway.alerting import Alerts
from devgate.gateway.background import Background
from devgate.gateway.bulk import Jobs
from devgate.gateway.commands.dispatcher import Dispatcher
from devgate.gateway.commands.orders import TakesOrders
from devgate.gateway.commands.running import Running
from devgate.gateway.commands.side_file import LateOutcomes
from devgate.gateway.counters import RequestCounts, StoreCounts
from devgate.gateway.devices.connection import Connection
from devgate.gateway.devices.desk import Desk
from devgate.gateway.devices.presence import Presence
from devgate.gateway.examination import Examination
from devgate.gateway.known.directory import Directory
from devgate.gateway.known.sync import Knowledge
from devgate.gateway.log_level import LogLevel
from devgate.gateway.membership import Membership
from devgate.gateway.quarantine import Quarantine
from devgate.gateway.refusals import Refusals
from devgate.gateway.renewals import Renewals
from devgate.gateway.reports.fleets import Fleet
from devgate.gateway.reports.inbox import Inbox
from devgate.gateway.reports.places import Places
from devgate.gateway.reports.usage import Usage
from devgate.gateway.storage import Records
from devgate.gateway.trimming import Trimming
from devgate.gateway.uploads import Uploads
from devgate.model import Imei
from devgate.net.acceptor import Acceptor
from devgate.net.tls_contexts import TlsContexts
from devgate.pauses import Pauses
from devgate.store.seal import Seal
from devgate.webhooks.webhooks import Webhooks

Reply = dict[str, object]

if TYPE_CHECKING:
    from devgate.config.settings import Settings


@dataclass(slots=True)
class Gateway:
    """What operations work on. `build` makes it."""

    settings: Settings
    directory: Directory
    presence: Presence
    dispatcher: Dispatcher
    running: Running
    orders: TakesOrders
    knowledge: Knowledge
    records: Records
    events: EventLog
    desk: Desk
    acceptor: Acceptor  # of devices
    trimming: Trimming
    usage: Usage
    webhooks: Webhooks
    seal: Seal  # of their secrets
    alerts: Alerts
    certificates: Certificates  # of the doors
    quarantine: Quarantine
    late: LateOutcomes
    background: Background
    tls_contexts: TlsContexts
    renewals: Renewals
    log_level: LogLevel
    commits: StoreCounts
    refusals: Refusals
    accounts: Accounts  # people and tokens
    examination: Examination
    log_dropped: Callable[[], int]  # lines of the log that could not be written
    since: float = field(default_factory=monotonic)
    fleet: Fleet = field(default_factory=Fleet)
    places: Places = field(default_factory=Places)
    inbox: Inbox = field(default_factory=Inbox)
    requests: RequestCounts = field(default_factory=RequestCounts)
    uploads: Uploads = field(default_factory=Uploads)
    bulk: Jobs = field(default_factory=Jobs)
    listens: dict[str, list[str]] = field(default_factory=dict)  # what was really bound
    cluster: Membership | None = None  # a gateway that is no node works alone
    pauses: Pauses = field(default_factory=Pauses)  # of what stands still in an upgrade
    # Lets a program (None: the one that this process was started with) take over. This is set by
    # `Doors` and not at construction: the handover passes the doors on, and the doors need this
    # object. As long as it is None the gateway is starting, and an upgrade is refused.
    upgrade: Callable[[str | None], Awaitable[Reply]] | None = None

    def apply(self, settings: Settings) -> None:
        """Let operations see these settings from now on."""
        self.settings = settings

    def current(self, imei: Imei) -> Connection | None:
        """The connection that speaks for a device."""
        return self.presence.get(imei)
