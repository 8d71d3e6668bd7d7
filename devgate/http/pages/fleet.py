"""The first page: what needs attention, the state of the fleet, and its last days."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from devgate.gateway.operations import at_hand, fleetwide
from devgate.gateway.reports import attention, past
from devgate.http.board import Concern
from devgate.http.pages import alerts, chosen, history
from devgate.http.pages.live import Live, Values, of_types
from devgate.http.pages.view import Visit

MAX_FIRING = 8  # alerts that the first page names


async def show(visit: Visit) -> Response:
    """The first page: the whole fleet, or the sites that the viewer is limited to."""
    return visit.page("fleet.html", title=visit.t("Fleet"), live=True, **await values(visit))


async def values(visit: Visit) -> Values:
    """What the page shows."""
    gateway, days = visit.web.gateway, _days(visit)
    fleet: Mapping[str, Any] = await visit.ask_or(at_hand.now(at_hand.fleet, gateway), "fleet")
    trend: Mapping[str, Any] | None = None
    if days > 1 and not visit.away:
        trend = await visit.ask_or(at_hand.now(at_hand.nothing), "trend", days=days)
    firing = await visit.ask_or(at_hand.now(chosen.nothing), "alerts", limit=MAX_FIRING)
    shown = history.of_day(visit, fleet) if days == 1 else history.of_days(visit, trend or {})
    return {
        "fleet": fleet, "firing": firing, "kind_words": alerts.KIND_WORDS, "days": days,
        "choices": past.DAYS, "share": _share(fleet), **shown,
    }  # fmt: skip


def _days(visit: Visit) -> int:
    given = visit.request.query_params.get("days", "")
    return next((days for days in past.DAYS if str(days) == given), past.DAYS[0])


def _share(fleet: Mapping[str, Any]) -> str:
    """The class of the style sheet for the number of devices offline, by their share."""
    enabled = fleet["known"] - fleet["disabled"]
    share = fleet["offline"] / enabled if enabled else 0.0
    if share >= attention.CRITICAL_PART:
        return "failed"
    return "unknown" if share >= attention.WARNING_PART else ""


def _at_hand(visit: Visit, shown: Values) -> Values:
    """The same with the newest numbers that are in memory. The day is not counted again."""
    if visit.sites is not None:  # memory does not count by site
        return shown
    gateway, fleet = visit.web.gateway, shown["fleet"]
    online, running, _ = fleetwide.counts(gateway)
    offline = max(0, len(gateway.directory) - fleet["disabled"] - online)
    now = {**fleet, "online": online, "running": running, "offline": offline}
    return {**shown, "fleet": now, "share": _share(now)}


# Its charts change with the time, also without an event.
LIVE = Live("fleet.html", values, of_types(Concern.LATER, ""), 60.0, _at_hand, frozenset({"now"}))
