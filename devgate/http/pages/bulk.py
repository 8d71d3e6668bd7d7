"""Jobs for many machines: which ones is shown and confirmed, and then the outcome of each."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.responses import Response

from devgate.errors import CallerError, DevgateError
from devgate.gateway.operations.maintenance import MAX_REASON
from devgate.http.board import Concern
from devgate.http.pages import devices, maintenance, words
from devgate.http.pages.device import presets
from devgate.http.pages.live import Live, Values, of_types
from devgate.http.pages.view import Visit, redirect
from devgate.model import imei

PAGE_ROWS = 50
ALL = "all"  # in the query: not those that are ticked, but all that match the filter
# The actions of the bar beneath the list, and their operations.
ACTIONS: Mapping[str, str] = {
    "start": "bulk_start", "stop": "bulk_stop", "move": "bulk_edit", "tag": "bulk_edit",
    "enable": "bulk_edit",
    "disable": "bulk_edit", "maintain": "bulk_maintenance", "unmaintain": "bulk_maintenance",
}  # fmt: skip


def _which(query: QueryParams) -> dict[str, Any]:
    """Which machines are meant, as the operations take it."""
    if query.get(ALL) == "1":
        return {"match": devices.match_of(query)}
    chosen = [imei(text) for text in dict.fromkeys(query.getlist("imei"))]
    if not chosen:
        raise CallerError("400", "no device is selected; go back, and tick some")
    return {"imeis": chosen}


def _selection(query: QueryParams) -> str:
    """The same selection as a query."""
    selected = [one for one in query.multi_items() if one[0] in ("imei", ALL, *devices.FILTER)]
    return urlencode(selected)


async def show_all(visit: Visit) -> Response:
    """Which machines are selected, their state, and what is to be done; without that, all jobs."""
    query = visit.request.query_params
    if "do" not in query:
        return await _jobs(visit)
    given = {name: query[name][:20] for name in ("long", "unit") if name in query}
    return await _confirm(visit, query.get("do", ""), query, given)


async def _confirm(
    visit: Visit,
    what: str,
    query: QueryParams,
    given: Mapping[str, str],
    err: DevgateError | None = None,
) -> Response:
    if what not in ACTIONS:
        raise CallerError("400", "there is nothing here; choose what is to be done")
    visit.must(ACTIONS[what])
    which = _which(query)
    counted = await visit.ask(ACTIONS[what], dry_run=True, **which, **_probe(what))
    sites: Mapping[str, Any] = await visit.ask("sites") if what == "move" else {"items": []}
    names = {"move": "Move {count} devices", "start": "Start {count} devices",
             "stop": "Stop {count} devices", "enable": "Enable {count} devices",
             "disable": "Disable {count} devices",
             "tag": "Tag {count} devices",
             "maintain": "Put {count} devices in maintenance",
             "unmaintain": "End maintenance of {count} devices"}  # fmt: skip
    unit = "times" if given.get("unit") == "times" else "seconds"
    shown = which.get("imeis", ())[:20]
    await visit.web.gateway.knowledge.learn(shown)
    return visit.page(
        "bulk_confirm.html",
        title=visit.t(names[what], count=f"{counted['count']:,}"),
        what=what,
        counted=counted,
        which=_selection(query),
        chosen=[visit.web.gateway.directory.called(one) for one in shown],
        match=which.get("match"),
        sites=[one["site"] for one in sites["items"]],
        presets=presets(visit, unit),
        given=given,
        lengths=maintenance.LENGTHS,
        max_reason=MAX_REASON,
        # However often the form is sent, it is one job.
        job=given.get("bulk") or f"web-{secrets.token_hex(8)}",
        err=err,
    )


def _probe(what: str) -> dict[str, Any]:
    """The fields that the operation requires even if it only counts."""
    probes: Mapping[str, dict[str, Any]] = {
        "start": {"long": 1}, "stop": {}, "maintain": {}, "unmaintain": {"on": False}
    }  # fmt: skip
    return probes.get(what, {"enabled": True})


async def begin(visit: Visit) -> Response:
    """Begin the job, and go to the page that shows how far it is."""
    fields = await visit.form()
    what, query = fields.get("do", ""), QueryParams(fields.get("which", ""))
    if what not in ACTIONS:
        raise CallerError("400", "there is nothing here; choose what is to be done")
    visit.must(ACTIONS[what])
    args: dict[str, Any] = {**_which(query), "bulk": fields.get("bulk", "")}
    args["most"] = words.number(fields.get("most", "")) or 0
    try:
        job = await visit.ask(ACTIONS[what], **args, **_said(visit, what, fields))
    except DevgateError as err:
        if err.status not in ("400", "409"):
            raise
        return await _confirm(visit, what, query, fields, err)
    return redirect(f"/bulk/{job['bulk']}")


def _said(visit: Visit, what: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """What the form says besides the selection. Raises CallerError (400)."""
    if what == "start":
        unit = "times" if fields.get("unit") == "times" else "seconds"
        given = fields.get("long", "")
        long = words.read_long(given, unit)
        max_long = visit.web.gateway.settings.command.max_long
        if long is None or not 1 <= long <= max_long:
            raise CallerError(
                "400", f"long: a whole number from 1 to {max_long} expected, not {given!r}"
            )
        return {"long": long, "unit": unit}
    if what == "stop":
        return {"cancel": fields.get("cancel") == "1"}
    if what == "tag":
        tags = {name: fields.get(name, "").strip() for name in ("tag", "untag")}
        if not any(tags.values()):
            raise CallerError("400", "tag: a tag to add or to take away expected, not nothing")
        return {name: text for name, text in tags.items() if text}
    if what == "maintain":
        return maintenance.said(fields)
    if what == "unmaintain":
        return {"on": False}
    if what == "move":
        return {"site": fields.get("site", "").strip()}
    return {"enabled": what == "enable"}


async def show(visit: Visit) -> Response:
    """How far a job has come, and what came of each machine."""
    return visit.page("bulk.html", title=visit.t("Many devices"), live=True, **await values(visit))


async def values(visit: Visit) -> Values:
    """The values that change while the page is open."""
    query = visit.request.query_params
    failed, after = query.get("failed") == "1", query.get("after", "")
    page = await visit.ask(
        "bulk",
        bulk=visit.request.path_params["id"],
        failed=failed,
        after=words.number(after),
        limit=PAGE_ROWS,
    )
    return {"job": page, "failed": failed, "after": after, "what": _what(page)}


def _what(job: Mapping[str, Any]) -> str:
    """The action of the bar that began a job."""
    if job["action"] == "maintenance":
        return "maintain" if job["asked"]["on"] else "unmaintain"
    if job["action"] != "edit":
        return str(job["action"])
    if "enabled" in job["asked"]:
        return "enable" if job["asked"]["enabled"] else "disable"
    if "site" in job["asked"]:
        return "move"
    return "tag" if {"tag", "untag"} & set(job["asked"]) else "edit"


# Events do not concern it: it is drawn again every two seconds.
LIVE = Live("bulk.html", values, of_types(Concern.NONE), pulse=2.0)


async def _jobs(visit: Visit) -> Response:
    found: Mapping[str, Any] = await visit.ask("bulks")
    shown = [(job, _what(job)) for job in found["items"]]
    return visit.page("bulk_jobs.html", title=visit.t("Jobs"), jobs=shown)


async def cancel(visit: Visit) -> Response:
    """Cancel a job: nothing more is asked of its machines."""
    await visit.form()
    id = str(visit.request.path_params["id"])
    await visit.ask("bulk_cancel", bulk=id)
    return redirect(f"/bulk/{id}")
