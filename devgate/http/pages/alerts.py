"""Alerts: what fires and what was sent; and the forms for rules and receivers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from devgate.alerts.rule import DAYS, KINDS
from devgate.alerts.wording import LANGUAGES
from devgate.errors import CallerError, DevgateError
from devgate.gateway.operations import at_hand
from devgate.http.board import Concern
from devgate.http.pages.chosen import named_sites, nothing, wrong_field
from devgate.http.pages.live import Live, Values, of_types
from devgate.http.pages.view import Visit, redirect

PATH = "/alerts"
# Not below the rules and receivers: one of them may be called `add`.
ADD_RULE, ADD_RECEIVER = "/alerts/add-rule", "/alerts/add-receiver"
FORMER = "add"  # the end of both paths in former versions: somebody may have a bookmark
PAGE_ROWS = 50  # of what fires, and of messages
BLANK: Mapping[str, Any] = {
    "name": "", "kind": "offline", "site": "", "tag": "", "minutes": "", "days": "",
    "receivers": [], "quiet": "", "zone": "", "repeat": "", "all_clear": True, "enabled": True,
}  # fmt: skip
NUMBER_FIELDS = ("minutes", "days", "repeat")
KIND_WORDS = {kind: f"alert.{kind}" for kind in KINDS}
STATE_WORDS = {state: f"message.{state}" for state in ("sent", "failed", "waiting")}


async def show(visit: Visit, status: int = 200, refusal: str = "", done: str = "") -> Response:
    """What fires, what was sent, the rules and the receivers."""
    return visit.page(
        "alerts.html",
        status,
        title=visit.t("Alerts"),
        live=True,
        refusal=refusal,
        done=done,
        said_of=visit.request.query_params.get("done", "")[:64],
        **await values(visit),
    )


async def values(visit: Visit) -> Values:
    """What the page shows, without the messages for this viewer."""
    query = visit.request.query_params
    fires: Mapping[str, Any] = await visit.ask_or(
        at_hand.now(nothing), "alerts", after=query.get("after") or None, limit=PAGE_ROWS
    )
    sent = await visit.ask_or(
        at_hand.now(nothing), "alert_log", after=query.get("log") or None, limit=PAGE_ROWS
    )
    rules = await visit.ask_or(at_hand.now(nothing), "alert_rules")
    receivers = await visit.ask_or(at_hand.now(nothing), "alert_receivers")
    return {
        "fires": fires, "sent": sent, "rules": rules, "receivers": receivers,
        "kind_words": KIND_WORDS, "state_words": STATE_WORDS,
        "after": query.get("after", ""), "log": query.get("log", ""),
    }  # fmt: skip


# A message that waits makes no event.
LIVE = Live("alerts.html", values, of_types(Concern.LATER, "alert."), pulse=60.0)


async def act(visit: Visit) -> Response:
    """Send a test, or enable or disable a rule, as a button of the page asks."""
    fields = await visit.form()
    if "test" in fields:
        try:
            reply = await visit.ask("alert_receiver_test", name=fields["test"])
        except DevgateError as err:
            if err.status != "503":
                raise
            return await show(visit, 503, refusal=str(err))
        return await show(visit, done=str(reply["message"]))
    for name, enabled in (("enable", True), ("disable", False)):
        if name in fields:
            await visit.ask("alert_rule_edit", name=fields[name], enabled=enabled)
            return redirect(PATH)
    raise CallerError("400", "test, enable or disable expected")


# Rules


async def rule(visit: Visit) -> Response:
    """The form of a rule: an empty one, or of one that is there."""
    if (name := visit.request.path_params.get("name")) is None:
        visit.must("alert_rule_add")
        return await _rule(visit, BLANK)
    visit.must("alert_rule_edit")
    page: Mapping[str, Any] = await visit.ask("alert_rules")
    for one in page["items"]:
        if one["name"] == name:
            return await _rule(visit, one, old=name)
    if name == FORMER:
        return redirect(ADD_RULE)
    raise CallerError("300", "there is no rule of that name")


async def store_rule(visit: Visit) -> Response:
    """Add, change or remove a rule, or show the form again with what is wrong."""
    fields, old = await visit.form(), visit.request.path_params.get("name")
    if old is not None and "remove" in fields:
        await visit.ask("alert_rule_remove", name=old)
        return redirect(f"{PATH}?done={quote(old)}")
    shown: dict[str, Any] = {name: fields.get(name, "").strip() for name in BLANK}
    shown |= {"receivers": [name[3:] for name in fields if name.startswith("to.")]}
    shown |= {name: fields.get(name) == "1" for name in ("all_clear", "enabled")}
    given: dict[str, Any] = {**shown, "name": old or shown["name"]}
    for name in NUMBER_FIELDS:
        text = given.pop(name)
        if text:
            given[name] = int(text) if text.isascii() and text.isdigit() else text
    if old is not None:
        given.pop("kind")
    try:
        await visit.ask("alert_rule_add" if old is None else "alert_rule_edit", **given)
    except DevgateError as err:
        return await _rule(visit, {**shown, "name": given["name"]}, err, old=old)
    return redirect(f"{PATH}?done={quote(given['name'])}")


async def _rule(
    visit: Visit,
    shown: Mapping[str, Any],
    err: DevgateError | None = None,
    *,
    old: str | None = None,
) -> Response:
    receivers: Mapping[str, Any] = await visit.ask("alert_receivers")
    return visit.page(
        "alert_rule.html",
        title=visit.t("Add a rule") if old is None else visit.t("Edit {name}", name=old),
        rule=shown,
        old=old,
        err=err,
        wrong=wrong_field(err, BLANK),
        kinds={name: one for name, one in KINDS.items() if one.sited or visit.sites is None},
        kind_words=KIND_WORDS,
        days=DAYS,
        default_zone=visit.web.gateway.settings.report.zone,
        sites=await named_sites(visit),
        receivers=[one["name"] for one in receivers["items"]],
    )


# Receivers


async def receiver(visit: Visit) -> Response:
    """The form of a receiver: an empty one, or of one that is there. Its URL is never shown."""
    if (name := visit.request.path_params.get("name")) is None:
        visit.must("alert_receiver_add")
        return _receiver(visit, {"name": "", "language": visit.language, "enabled": True})
    visit.must("alert_receiver_edit")
    page: Mapping[str, Any] = await visit.ask("alert_receivers")
    for one in page["items"]:
        if one["name"] == name:
            return _receiver(visit, one, old=name)
    if name == FORMER:
        return redirect(ADD_RECEIVER)
    raise CallerError("300", "there is no receiver of that name")


async def store_receiver(visit: Visit) -> Response:
    """Add, change or remove a receiver, or show the form again with what is wrong."""
    fields, old = await visit.form(), visit.request.path_params.get("name")
    shown: dict[str, Any] = {
        "name": old or fields.get("name", "").strip(), "language": fields.get("language"),
        "enabled": fields.get("enabled") == "1",
    }  # fmt: skip
    try:
        if old is not None and "remove" in fields:
            await visit.ask("alert_receiver_remove", name=old)
            return redirect(f"{PATH}?done={quote(old)}")
        asked = "alert_receiver_add" if old is None else "alert_receiver_edit"
        reply = await visit.ask(asked, url=fields.get("url", "").strip() or None, **shown)
    except DevgateError as err:
        return _receiver(visit, shown, err, old=old)
    if reply["secret"]:  # it is shown on this answer only, and must not be in an address
        return _receiver(visit, shown, old=str(reply["name"]), secret=str(reply["secret"]))
    return redirect(f"{PATH}?done={quote(str(reply['name']))}")


def _receiver(
    visit: Visit,
    shown: Mapping[str, Any],
    err: DevgateError | None = None,
    *,
    old: str | None = None,
    secret: str = "",
) -> Response:
    return visit.page(
        "alert_receiver.html",
        title=visit.t("Add a receiver") if old is None else visit.t("Edit {name}", name=old),
        receiver=shown,
        old=old,
        secret=secret,
        err=err,
        wrong=wrong_field(err, ("name", "url", "language")),
        languages_of=LANGUAGES,
    )
