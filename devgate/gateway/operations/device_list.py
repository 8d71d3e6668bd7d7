"""The operation that lists devices, filtered, sorted and counted."""

from __future__ import annotations

from functools import partial

from devgate.gateway.clock import time
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments, fleetwide, status
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.store import device_pages
from devgate.store.device import MAX_NAME
from devgate.store.device_filters import MAX_DEVICES, WantedDevices
from devgate.store.device_orders import MAX_CURSOR, SORTS
from devgate.store.machine_record import MAX_TAG, MAX_WORD, one_tag

MAX_SEARCH = 64  # characters of a text that is searched for
MAX_SPAN = 400 * 86400.0  # seconds: the longest time offline or unused that can be asked for
FILTERS = (
    "q", "site", "online", "running", "enabled", "seen", "offline_for", "not_started_for",
    "failing", "model", "tag",
)  # fmt: skip
FIELDS = (*FILTERS, "sort", "count", "before", "after", "limit")
ORDERS = tuple(sign + name for name in SORTS for sign in ("", "-"))


async def devices(gateway: Gateway, args: Args, source: str) -> Reply:
    """A page of known devices, with their state. The filters are combined with "and"."""
    wanted, limit = wanted_of(args), arguments.limit(args)
    after, before = (arguments.text(args, name, MAX_CURSOR) for name in ("after", "before"))
    sort = arguments.choice(args, "sort", ORDERS) or "imei"
    counted = arguments.yes(args, "count", False)
    if wanted.running or sort.endswith("state"):
        wanted = wanted._replace(running_now=await fleetwide.running_few(gateway, MAX_DEVICES))
    await gateway.records.flushed()  # who is online is read where it is written
    page = await gateway.records.read(partial(
        device_pages.find, wanted=wanted, limit=limit, sort=sort.removeprefix("-"),
        down=sort.startswith("-"), after=after, before=before, counted=counted,
    ))  # fmt: skip
    count = {} if page.counted is None else {"count": page.counted[0], "more": page.counted[1]}
    if counted and not wanted.filters:
        count = {"count": len(gateway.directory), "more": False}
    return {
        "status": "200",
        "items": [status.item(gateway, row.device, row.presence) for row in page.rows],
        "next": page.next,
        "prev": page.prev,
        **count,
    }


def wanted_of(args: Args) -> WantedDevices:
    """The filters of a request. Raises CallerError (400), which names the field."""
    now, own_sites = time(), arguments.own_sites(args)
    site = arguments.text(args, "site", MAX_NAME)
    if own_sites is not None and site is None and len(own_sites) == 1:
        (site,), own_sites = own_sites, None  # one site is read faster than a set
    away = arguments.seconds(args, "offline_for", MAX_SPAN)
    idle = arguments.seconds(args, "not_started_for", MAX_SPAN)
    failing = arguments.percent(args, "failing")
    tag = arguments.text(args, "tag", MAX_TAG)
    return WantedDevices(
        text=arguments.text(args, "q", MAX_SEARCH),
        site=site,
        sites=own_sites,
        enabled=arguments.maybe(args, "enabled"),
        online=arguments.maybe(args, "online"),
        running=arguments.maybe(args, "running"),
        seen=arguments.maybe(args, "seen"),
        away_since=None if away is None else now - away,
        idle_since=None if idle is None else now - idle,
        failing=None if failing is None else failing / 100,
        model=arguments.text(args, "model", MAX_WORD),
        tag=None if tag is None else one_tag("tag", tag),
        now=now,
    )
