"""Reports: what machines did, by machine, site, day or month, with its CSV."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

from starlette.responses import Response

from devgate.errors import CallerError
from devgate.gateway.operations.usage import BY, SORTS
from devgate.http.pages import words
from devgate.http.pages.chosen import as_query, sites
from devgate.http.pages.view import Visit
from devgate.http.pages.words import number

PAGE_ROWS = 50
PAGE_DAYS, PAGE_MONTHS = 62, 24  # rows of a page, if a row is a day or a month
TITLES: Mapping[str, str] = {
    "machine": "Machines", "site": "Sites", "day": "Days", "month": "Months",
}  # fmt: skip
COLUMNS: Mapping[str, str] = {
    "starts": "Starts", "done": "Done", "failed": "Failed", "unknown": "Unknown",
    "refused": "Refused", "seconds": "Run time", "times": "Times", "availability": "Available",
}  # fmt: skip


class ReportFilter(NamedTuple):
    """What is looked for. Days are those of the sites' zones, both included."""

    by: str
    month: str
    first: str
    last: str
    site: str
    imei: str
    sort: str

    @classmethod
    def of(cls, visit: Visit) -> ReportFilter:
        """What the query of the page asks for. Values that are not valid are ignored."""
        query = visit.request.query_params
        given = {name: query.get(name, "").strip() for name in cls._fields}
        if given["by"] not in BY:
            given["by"] = BY[0]
        if given["sort"] not in SORTS:
            given["sort"] = ""
        if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", given["month"], re.ASCII):
            given["month"] = ""
        for name in ("first", "last"):
            if given["month"] or words.midnight(given[name], visit.zone) is None:
                given[name] = ""
        if not re.fullmatch("[0-9]{15}", given["imei"], re.ASCII):
            given["imei"] = ""
        return cls(**{**given, "site": given["site"][:200]})

    def but(self, **others: str) -> str:
        """The filter as a query, with these changes."""
        return as_query(self._asdict(), **others)

    @property
    def query(self) -> str:
        """The filter as a query, for the next page."""
        return self.but()

    def args(self) -> dict[str, object]:
        """The filter as fields of the operation."""
        return {name: value or None for name, value in self._asdict().items()}


async def show(visit: Visit) -> Response:
    """The report that the query asks for; without a query, this month by machine."""
    chosen = ReportFilter.of(visit)
    offset = number(visit.request.query_params.get("offset", "")) or 0
    problem, page = "", None
    try:
        page = await visit.ask_or(
            nothing, "report", **chosen.args(), offset=offset, limit=_shown(chosen.by)
        )
    except CallerError as err:
        problem = str(err)
    shown: Mapping[str, Any] = page or await nothing()
    return visit.page(
        "report.html",
        400 if problem else 200,
        title=visit.t("Reports"),
        page=shown,
        problem=problem,
        chosen=chosen,
        offset=offset,
        step=_shown(chosen.by),
        about=TITLES,
        columns={name: title for name, title in COLUMNS.items() if _there(name, shown["total"])},
        sites=await sites(visit),
        months=_months(chosen, shown),
        file=chosen.but(**{"for": "spreadsheet"}),
    )


def _shown(by: str) -> int:
    return {"day": PAGE_DAYS, "month": PAGE_MONTHS}.get(by, PAGE_ROWS)


def _there(name: str, total: Mapping[str, Any]) -> bool:
    """Whether the report has a column: `times` is only for fleets with machines that count
    them."""
    return name != "times" or bool(total["times"])


def _months(chosen: ReportFilter, page: Mapping[str, Any]) -> tuple[str, str, str]:
    """The month that is shown ("" if it is another span), the one before and the one after."""
    if not page["first"]:
        return "", "", ""
    first = date.fromisoformat(page["first"])
    before = (first.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    behind = (first.replace(day=1) + timedelta(days=31)).strftime("%Y-%m")
    whole = chosen.month or (not chosen.first and not chosen.last)
    return (first.strftime("%Y-%m") if whole else "", before, behind)


async def nothing() -> dict[str, Any]:
    """An empty report, for when the database cannot be read."""
    total = dict.fromkeys(COLUMNS, 0)
    return {
        "items": [], "total": {**total, "availability": None}, "count": 0, "next": None,
        "first": "", "last": "", "zone": "", "counted_to": None, "complete": True,
    }  # fmt: skip
