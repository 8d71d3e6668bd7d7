"""The first page: how the fleet is, and how its day was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from devgate.events.kinds import Event
from devgate.gateway.operations import fleetwide
from devgate.gateway.reports.fleet_day import BUCKET, DAY, HOUR
from devgate.http.boards import Concern
from devgate.http.pages import charts, words
from devgate.http.pages.live import Live, Values
from devgate.http.pages.view import Visit
from devgate.model import iso

KINDS = ("done", "failed", "unknown", "unsent", "open")
TICK = 4 * HOUR


async def show(visit: Visit) -> Response:
    """The first page: the whole fleet."""
    return visit.page("fleet.html", title=visit.t("Fleet"), live=True, **await values(visit))


async def values(visit: Visit) -> Values:
    """What the page shows."""
    fleet = await visit.ask("fleet")
    hours: Sequence[Mapping[str, Any]] = fleet["hours"]  # type: ignore[assignment]
    day: Sequence[Mapping[str, Any]] = fleet["day"]  # type: ignore[assignment]
    since = words.seconds_of(hours[0]["at"])
    return {
        "fleet": fleet,
        "online": _online(visit, fleet, day),
        "outcomes": _outcomes(visit, hours),
        "kinds": KINDS,
        "ticks": [iso(since + n * TICK) for n in range(DAY // TICK + 1)],
        "hourly": day[:: HOUR // BUCKET],
    }


def _concern(visit: Visit, shown: Values, event: Event) -> Concern:
    return Concern.CALM


def _at_hand(visit: Visit, shown: Values) -> Values:
    """The numbers that the gateway has in memory; counting a day takes longer than that."""
    online, running, _ = fleetwide.counts(visit.web.gateway)
    now = {"online": online, "running": running}
    return {**shown, "fleet": {**shown["fleet"], **now}}


# Its charts move on with the time.
LIVE = Live("fleet.html", values, _concern, 60.0, _at_hand, frozenset({"now"}))


def _online(
    visit: Visit, fleet: Mapping[str, Any], day: Sequence[Mapping[str, Any]]
) -> charts.Chart:
    values = [point["online"] for point in day]
    text = visit.t(
        "{now} now; at least {least}, at most {most}",
        now=fleet["online"], least=min(values, default=0), most=max(values, default=0),
    )  # fmt: skip
    return charts.area(values, DAY // BUCKET, visit.t("Online over the last day"), text)


def _outcomes(visit: Visit, hours: Sequence[Mapping[str, Any]]) -> charts.Chart:
    names = {kind: visit.t(kind) for kind in KINDS}
    titles = []
    for hour in hours:
        at = words.moment(hour["at"])
        assert at is not None, "every hour has its time"
        counts = ", ".join(f"{hour[kind]} {names[kind]}" for kind in KINDS if hour[kind])
        clock = words.formed(at, "minute", visit.zone)
        titles.append(f"{clock}  {counts or visit.t('nothing')}")
    total = sum(hour["start"] for hour in hours)
    text = visit.t("{count} starts in the last day", count=total)
    return charts.bars(hours, KINDS, titles, visit.t("Commands by the hour"), text)
