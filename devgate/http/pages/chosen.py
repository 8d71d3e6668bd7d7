"""The filters of a list: read from the query of its page, and written into links; and the sites
that it offers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from devgate.gateway.operations import at_hand
from devgate.gateway.operations.reply import Reply
from devgate.http.pages import words
from devgate.http.pages.view import Visit


def given(visit: Visit, names: Iterable[str]) -> dict[str, str]:
    """The values of these names in the query of the page; "" if one is missing, or if `since` or
    `until` is no day."""
    query = visit.request.query_params
    found = {name: query.get(name, "").strip() for name in names}
    for name in ("since", "until"):
        if name in found and words.midnight(found[name], visit.zone) is None:
            found[name] = ""
    return found


def moments(visit: Visit, since: str, until: str) -> dict[str, int | None]:
    """The fields `since` and `until` of an operation, in seconds since 1970. The arguments are
    days in the viewer's zone, both included; "" is none."""
    first, last = words.midnight(since, visit.zone), words.midnight(until, visit.zone)
    behind = None if last is None else last + timedelta(days=1)
    return {
        name: None if at is None else max(0, int(at.timestamp()))
        for name, at in (("since", first), ("until", behind))
    }


def as_query(fields: Mapping[str, object], **more: object) -> str:
    """These fields as a query, without those that are None or empty."""
    return urlencode({n: v for n, v in {**fields, **more}.items() if v not in (None, "")})


def nothing() -> Reply:
    """An empty list, for when the database is away and memory does not hold the list."""
    return {"status": "200", "items": [], "next": None, "count": 0}


async def sites(visit: Visit) -> Sequence[Mapping[str, Any]]:
    """The sites to choose from. While the database is away: those that were counted last."""
    known = at_hand.now(at_hand.sites, visit.web.gateway)
    found: Mapping[str, Any] = await visit.ask_or(known, "sites")
    items: Sequence[Mapping[str, Any]] = found["items"]
    return items


async def named_sites(visit: Visit) -> list[str]:
    """The names of all sites that have one, for a form."""
    found: Mapping[str, Any] = await visit.ask("sites")
    return [one["site"] for one in found["items"] if one["site"]]


def wrong_field(err: Exception | None, fields: Iterable[str]) -> str:
    """Which field of a form an error is about, by its first word; "" if it is none of them."""
    name = "" if err is None else str(err).partition(":")[0]
    return name if name in fields else ""
