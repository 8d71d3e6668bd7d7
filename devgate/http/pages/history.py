"""The charts of the fleet: its last day by minutes and hours, or 7 and 30 days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from devgate.gateway.reports.fleet_day import BUCKET_SECONDS, DAY, HOUR
from devgate.http.pages import charts, words
from devgate.http.pages.charts import Chart, Series
from devgate.http.pages.view import Visit
from devgate.model import iso

KINDS = ("done", "failed", "unknown", "unsent", "open")
COUNTS = ("start", "stop", *KINDS)
TICK_SECONDS = 4 * HOUR
BAR_HOURS = 6  # hours of one bar, over a week

Hours = Sequence[Mapping[str, Any]]


def of_day(visit: Visit, fleet: Mapping[str, Any]) -> Mapping[str, Any]:
    """The last 24 hours, as the reply of `fleet` has them; no charts if it has none."""
    hours: Hours = fleet["hours"]
    day: Hours = fleet["day"]
    if not hours:
        return {"online": None, "outcomes": None, "counting": False}
    since = words.seconds_of(hours[0]["at"])
    series = Series(
        [visit.t("Online")], ["online"],
        [since + number * BUCKET_SECONDS for number in range(len(day))],
        [[point["online"] for point in day]], "minute",
    )  # fmt: skip
    return {
        "online": charts.area(
            series, DAY // BUCKET_SECONDS, visit.t("Online"), _range(visit, series, 1)
        ),
        "outcomes": _bars(visit, [since + n * HOUR for n in range(len(hours))], hours, 1),
        "kinds": KINDS,
        "columns": COUNTS,
        "ticks": [iso(since + n * TICK_SECONDS) for n in range(DAY // TICK_SECONDS + 1)],
        "tick_form": "minute",
        "form": "short",
        "onlines": day[:: HOUR // BUCKET_SECONDS],
        "groups": hours,
        "counting": False,
    }


def of_days(visit: Visit, trend: Mapping[str, Any]) -> Mapping[str, Any]:
    """Some days, by the hours in the reply of `trend`; no charts if it has none."""
    hours: Hours = trend.get("hours", ())
    if not hours:
        return {"online": None, "outcomes": None, "counting": False}
    days = trend["days"]
    since = words.seconds_of(hours[0]["at"])
    series = Series(
        [visit.t("Online")], ["online"],
        [since + number * HOUR for number in range(len(hours))],
        [[hour["online"] for hour in hours]], "short",
    )  # fmt: skip
    groups = _grouped(visit, hours, days)
    begins = [words.seconds_of(group["at"]) for group in groups]
    step = 1 if days == 7 else 5
    return {
        "online": charts.area(series, len(hours), visit.t("Online"), _range(visit, series, days)),
        "outcomes": _bars(visit, begins, groups, days),
        "kinds": KINDS,
        "columns": COUNTS,
        "ticks": [iso(since + n * DAY) for n in range(0, days + 1, step)],
        "tick_form": "date",
        "form": "short" if days == 7 else "date",
        "onlines": hours[::BAR_HOURS],
        "groups": groups,
        "counting": not trend["complete"],
    }


def _grouped(visit: Visit, hours: Hours, days: int) -> list[dict[str, Any]]:
    """The hours added up to quarters of the viewer's days, or to whole days."""
    groups: dict[datetime, dict[str, Any]] = {}
    for hour in hours:
        at = words.moment(hour["at"])
        assert at is not None, "every hour has its time"
        here = at.astimezone(visit.zone)
        begin = here.replace(minute=0, hour=here.hour // BAR_HOURS * BAR_HOURS if days == 7 else 0)
        group = groups.setdefault(
            begin, {"at": iso(begin.timestamp()), **dict.fromkeys(COUNTS, None)}
        )
        if hour["start"] is not None:
            for name in COUNTS:
                group[name] = (group[name] or 0) + hour[name]
    return list(groups.values())


def _range(visit: Visit, series: Series, days: int) -> str:
    known = [value for value in series.values[0] if value is not None]
    return visit.t(
        "{days}: {now} now; at least {least}, at most {most}",
        days=period(visit, days), now=known[-1] if known else 0,
        least=min(known, default=0), most=max(known, default=0),
    )  # fmt: skip


def _bars(visit: Visit, begins: Sequence[float], groups: Hours, days: int) -> Chart:
    series = Series(
        [visit.t(kind) for kind in KINDS], KINDS, begins,
        [[group[kind] for group in groups] for kind in KINDS],
        {1: "minute", 7: "short", 30: "date"}[days],
    )  # fmt: skip
    total = sum(group["start"] or 0 for group in groups)
    text = visit.t("{days}: {count} starts", days=period(visit, days), count=total)
    return charts.bars(series, visit.t("Commands"), text)


def period(visit: Visit, days: int) -> str:
    """`1 day`, `7 days`."""
    return visit.t("1 day") if days == 1 else visit.t("{count} days", count=days)
