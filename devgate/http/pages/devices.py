"""The list of devices: searched, filtered, sorted, and read page by page.

The address holds the whole filter, so that a view can be bookmarked or sent to a colleague.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from starlette.responses import Response

from devgate.errors import CallerError, StoreError
from devgate.events.kinds import Event
from devgate.gateway.operations import at_hand
from devgate.gateway.operations import devices as operation
from devgate.gateway.operations.reply import Reply
from devgate.http.board import Concern
from devgate.http.pages.chosen import as_query, sites
from devgate.http.pages.live import Live, LiveRows, Values
from devgate.http.pages.view import Visit, redirect
from devgate.model import imei

PAGE_ROWS = 50
# Events that change which devices are in a list, or many of its rows.
LIST_EVENTS = (
    "device.added", "device.changed", "device.removed", "maintenance.began", "maintenance.ended",
)  # fmt: skip
HOUR, DAY = 3600, 86400
# The filter by state, as fields of the operation.
STATES: Mapping[str, Mapping[str, object]] = {
    "": {},
    "online": {"online": True},
    "running": {"running": True},
    "idle": {"online": True, "running": False},
    "offline": {"online": False},
    "offline-1h": {"offline_for": HOUR},
    "offline-1d": {"offline_for": DAY},
    "offline-7d": {"offline_for": 7 * DAY},
    "never-seen": {"seen": False},
    "not-started-7d": {"not_started_for": 7 * DAY, "enabled": True},
    "failing-5": {"failing": 5},
    "disabled": {"enabled": False},
}
# The states with a button of their own.
VIEWS = (
    "", "offline-1h", "offline-1d", "offline-7d", "not-started-7d", "failing-5", "never-seen",
)  # fmt: skip
# The orders of the list and their titles; `since` has the devices first that are away for longest.
SORTS: Mapping[str, str] = {
    "imei": "IMEI", "name": "Name", "site": "Site", "state": "State", "since": "Since",
    "-since": "Since, newest first", "id": "No.",
}  # fmt: skip
FILTER = ("q", "site", "state", "model", "tag")  # fields of the page's query that select devices


def match_of(query: Mapping[str, str]) -> dict[str, object]:
    """A filter of the page as the operations take it."""
    found: dict[str, object] = {**STATES.get(query.get("state", ""), {})}
    for name in ("q", "site", "model", "tag"):
        if text := query.get(name, "").strip()[:64]:
            found[name] = text
    return found


class DeviceFilter(NamedTuple):
    """What is looked for."""

    q: str
    site: str
    state: str
    sort: str
    after: str
    before: str
    model: str = ""
    tag: str = ""

    @classmethod
    def of(cls, visit: Visit) -> DeviceFilter:
        """What the query of the page asks for."""
        query = visit.request.query_params
        words, state = query.get("q", "").strip()[:64], query.get("state", "")
        known = state if state in STATES else ""
        sort = query.get("sort", "")
        return cls(
            words, query.get("site", ""), known,
            sort if sort.removeprefix("-") in SORTS and sort != "imei" else "",
            query.get("after", ""), query.get("before", ""),
            query.get("model", "").strip()[:64], query.get("tag", "").strip()[:40],
        )  # fmt: skip

    @property
    def query(self) -> str:
        """The filter as a query, for the next page."""
        return self.but()

    def but(self, **changed: str) -> str:
        """The filter as a query, with these changes: the first page of that list."""
        given = {
            "q": self.q,
            "site": self.site,
            "state": self.state,
            "sort": self.sort,
            "model": self.model,
            "tag": self.tag,
            **changed,
        }
        return as_query(given)

    @property
    def narrowed(self) -> bool:
        """Whether not all devices are looked for."""
        return bool(self.q or self.site or self.state or self.model or self.tag)

    def turned(self, sort: str) -> str:
        """The order by this column; the reverse of it, if the list has that order already."""
        return f"-{sort}" if (self.sort or "imei") == sort else sort

    def direction(self, sort: str) -> str:
        """The value of `aria-sort` for a column; "" if the list is not sorted by it."""
        now = self.sort or "imei"
        return {sort: "ascending", f"-{sort}": "descending"}.get(now, "")


async def show(visit: Visit) -> Response:
    """The list; or, if a whole IMEI was typed, the page of that device."""
    chosen = DeviceFilter.of(visit)
    known = await _one(visit, chosen.q)
    if known is not None and not chosen.site and not chosen.state:
        return redirect(f"/devices/{known}")
    listed = await values(visit)
    return visit.page(
        "devices.html",
        title=visit.t("Devices"),
        live=True,
        sites=await sites(visit),
        states=STATES,
        views=VIEWS,
        sorts=SORTS,
        exact=await _exact(visit, chosen.q),
        **listed,
    )


async def values(visit: Visit) -> Values:
    """What the list itself shows."""
    chosen = DeviceFilter.of(visit)
    wanted: dict[str, Any] = {
        "q": chosen.q or None,
        "site": chosen.site or None,
        "model": chosen.model or None,
        "tag": chosen.tag or None,
        "sort": chosen.sort or None,
        "after": chosen.after or None,
        "before": None if chosen.after else chosen.before or None,
        "count": True,
        "limit": PAGE_ROWS,
        **STATES[chosen.state],
    }
    page: Mapping[str, Any] = await visit.ask_or(
        partial(at_hand.devices, visit.web.gateway, **_given(wanted)), "devices", **wanted
    )
    return {
        "page": page,
        "imeis": {device["imei"] for device in page["items"]},
        "chosen": chosen,
        "total": len(visit.web.gateway.directory) if visit.sites is None else page["count"],
    }


def _given(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The fields without those filters that memory does not know and that are not used."""
    return {name: value for name, value in wanted.items()
            if value is not None or name not in ("model", "tag")}  # fmt: skip


def _concern(visit: Visit, shown: Values, event: Event) -> Concern:
    if not shown:  # the rows that are on the screen are not known here yet
        return Concern.AT_ONCE
    if event.imei in shown["imeis"]:
        return Concern.ROW
    # After any event, a device may have got or lost the state that the list is about.
    return Concern.LATER if shown["chosen"].state or event.type in LIST_EVENTS else Concern.NONE


async def _rows(visit: Visit, shown: Values, imeis: Set[str]) -> Sequence[Mapping[str, Any]]:
    gateway = visit.web.gateway
    if not visit.trouble:  # else reading might take long
        try:
            return await operation.some(gateway, imeis)
        except StoreError as err:
            visit.away = str(err)
    # Memory does not know since when a device is offline, but the page before may say it.
    since = {one["imei"]: one["since"] for one in shown["page"]["items"] if not one["online"]}
    found = at_hand.some(gateway, imeis)
    return [{**one, "since": one["since"] or since.get(one["imei"])} for one in found]


ROWS = LiveRows("devices", "devices_row.html", "device", _rows)
LIVE = Live("devices.html", values, _concern, pulse=60.0, rows=ROWS)


async def _exact(visit: Visit, words: str) -> Reply:
    """The devices and commands that have exactly these words as their name, number or key."""
    if not words:
        return at_hand.found()
    found: Mapping[str, Any] = await visit.ask_or(at_hand.now(at_hand.found), "find", q=words)
    return {**found, "devices": found["devices"][: found["exact"]]}


async def _one(visit: Visit, words: str) -> str | None:
    """The device whose whole IMEI was typed or scanned."""
    try:
        found = imei(words)
    except CallerError:
        return None
    with suppress(StoreError):  # then the list says what it can
        await visit.web.gateway.knowledge.learn([found])
    called = visit.web.gateway.directory.called(found)
    known = called is not None and (visit.sites is None or called.site in visit.sites)
    return found if known else None
