"""The audit: who changed what and who logged in, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from devgate.events.kinds import AUDIT
from devgate.gateway.operations.history import MAX_SOURCE
from devgate.http.pages import words
from devgate.http.pages.view import Visit
from devgate.model import AUDIT_CSV, audit_row

PATH = "/settings/audit"
SHOWN = 50
KINDS = tuple(dict.fromkeys(kind.partition(".")[0] for kind in AUDIT))


class Chosen(NamedTuple):
    """What is looked for. Days are the viewer's, both included."""

    source: str
    events: str
    since: str
    until: str

    @classmethod
    def of(cls, visit: Visit) -> Chosen:
        """What the query of the page asks for."""
        query = visit.request.query_params
        given = {name: query.get(name, "").strip() for name in cls._fields}
        if given["events"] not in (*KINDS, *AUDIT):
            given["events"] = ""
        for name in ("since", "until"):
            if words.midnight(given[name], visit.zone) is None:
                given[name] = ""
        return cls(**{**given, "source": given["source"][:MAX_SOURCE]})

    @property
    def query(self) -> str:
        """It as a query, for the next page."""
        return urlencode({name: value for name, value in self._asdict().items() if value})

    def args(self, visit: Visit) -> dict[str, object]:
        """It as the fields of the operation."""
        args: dict[str, object] = {"source": self.source or None, "events": self.events or None}
        for name, days in (("since", 0), ("until", 1)):
            found = words.midnight(getattr(self, name), visit.zone)
            at = None if found is None else (found + timedelta(days=days)).timestamp()
            args[name] = None if at is None else max(0, int(at))
        return args


async def show(visit: Visit) -> Response:
    """The list."""
    chosen, after = Chosen.of(visit), visit.request.query_params.get("after", "")
    args = chosen.args(visit)
    place = int(after) if after.isascii() and after.isdigit() and len(after) < 19 else None
    page: Mapping[str, Any] = await visit.ask("audit", **args, after=place, limit=SHOWN)
    rows = [(one, dict(zip(AUDIT_CSV, audit_row(one), strict=True))) for one in page["items"]]
    return visit.page(
        "audit.html",
        title=visit.t("Audit"),
        chosen=chosen,
        kinds=KINDS,
        rows=rows,
        after=after,
        following=page["next"],
        file=urlencode({**{n: v for n, v in args.items() if v is not None}, "for": "spreadsheet"}),
    )
