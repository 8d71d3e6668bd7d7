"""The page for an address that leads nowhere."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from devgate.http.pages.view import Visit


def show(visit: Visit, status: int, headers: Mapping[str, str]) -> Response:
    """The page for a browser; `status` and `headers` are the same as for a program."""
    response = visit.page("missing.html", status, title=visit.t("There is no such page"))
    response.headers.update(headers)
    return response
