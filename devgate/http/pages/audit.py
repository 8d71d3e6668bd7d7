"""The audit: who changed what and who logged in, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from markupsafe import Markup, escape
from starlette.responses import Response

from devgate.events.kinds import AUDIT
from devgate.gateway.operations import at_hand
from devgate.gateway.operations.arguments import MAX_SOURCE
from devgate.http.pages.chosen import as_query, given, moments, nothing
from devgate.http.pages.view import Visit
from devgate.http.pages.words import number
from devgate.model import AUDIT_CSV, Moment, audit_detail, audit_row, pieces

PATH = "/settings/audit"
PAGE_ROWS = 50
KINDS = tuple(dict.fromkeys(kind.partition(".")[0] for kind in AUDIT))


class AuditFilter(NamedTuple):
    """What is looked for. Days are the viewer's, both included."""

    source: str
    events: str
    since: str
    until: str

    @classmethod
    def of(cls, visit: Visit) -> AuditFilter:
        """What the query of the page asks for."""
        found = given(visit, cls._fields)
        if found["events"] not in (*KINDS, *AUDIT):
            found["events"] = ""
        return cls(**{**found, "source": found["source"][:MAX_SOURCE]})

    @property
    def query(self) -> str:
        """The filter as a query, for the next page."""
        return as_query(self._asdict())

    def args(self, visit: Visit) -> dict[str, object]:
        """The filter as fields of the operation."""
        args: dict[str, object] = {"source": self.source or None, "events": self.events or None}
        return args | moments(visit, self.since, self.until)


async def show(visit: Visit) -> Response:
    """The list."""
    chosen, after = AuditFilter.of(visit), visit.request.query_params.get("after", "")
    args = chosen.args(visit)
    page: Mapping[str, Any] = await visit.ask_or(
        at_hand.now(nothing), "audit", **args, after=number(after, 18), limit=PAGE_ROWS
    )
    rows = [
        (one, dict(zip(AUDIT_CSV, audit_row(one), strict=True)) | {"detail": _detail(visit, one)})
        for one in page["items"]
    ]
    return visit.page(
        "audit.html",
        title=visit.t("Audit"),
        chosen=chosen,
        kinds=KINDS,
        rows=rows,
        after=after,
        following=page["next"],
        file=as_query(args, **{"for": "spreadsheet"}),
    )


def _detail(visit: Visit, event: Mapping[str, Any]) -> Markup:
    """How it was changed, in the language and the zone of the viewer."""
    detail = audit_detail(event)
    if not detail:
        return Markup("")
    if isinstance(detail, str):
        return escape(visit.said(detail))
    found = pieces(detail, visit.t)
    return Markup("").join(visit.when(one) if isinstance(one, Moment) else one for one in found)
