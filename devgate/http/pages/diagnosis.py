"""The diagnosis of one machine: reconnects, silences and answers, and a report for its maker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from devgate.gateway.reports.diagnosis import DAYS
from devgate.http.pages.device import TEST_LONG
from devgate.http.pages.view import Visit


async def show(visit: Visit) -> Response:
    """The page. Its numbers do not change while it is open."""
    device = visit.device
    given = visit.request.query_params.get("days", "")
    days = int(given) if given in map(str, DAYS) else DAYS[1]
    found: Mapping[str, Any] = await visit.ask("diagnosis", imei=device, days=days)
    status: Mapping[str, Any] = await visit.ask("status", imei=device)
    max_reconnects = max((one["reconnects"] for one in found["by_day"]), default=0)
    return visit.page(
        "diagnosis.html",
        title=visit.t("Diagnosis"),
        found=found,
        device=status,
        choices=DAYS,
        days=days,
        max_reconnects=max(max_reconnects, 1),
        test=TEST_LONG[status["unit"]],
    )
