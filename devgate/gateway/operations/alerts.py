"""Operations on alerts: what fires, what was sent, and the rules."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import trio

from devgate.alerts.rule import DAYS, KINDS, MAX_RULES, MAX_ZONE, NAME, Rule, checked
from devgate.errors import CallerError
from devgate.gateway.clock import time
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.model import iso, shown
from devgate.store import alerts as stored
from devgate.store.device import MAX_NAME

RULE = (
    "site", "minutes", "days", "receivers", "quiet", "zone", "repeat", "all_clear", "enabled",
)  # fmt: skip
MAX_CURSOR = 420  # characters

log = logging.getLogger("devgate.alerts")


async def alerts(gateway: Gateway, args: Args, source: str) -> Reply:
    """A page of what fires now, the newest first."""
    after, limit = _place(args), arguments.limit(args)
    count = await gateway.records.read(stored.firing_count)
    rows = await gateway.records.read(stored.firing_page, after, limit + 1)
    items = [_firing(row) for row in rows[:limit]]
    more = rows[limit - 1] if len(rows) > limit else None
    cursor = None if more is None else f"{more['fired_at']!r}:{more['rule']}:{more['subject']}"
    kinds = {row["name"]: row["kind"] for row in await gateway.records.read(stored.rules)}
    for item in items:
        item["kind"] = kinds.get(str(item["rule"]), "")
    return {"status": "200", "items": items, "next": cursor, "count": count}


def _place(args: Args) -> stored.Key | None:
    given = arguments.text(args, "after", MAX_CURSOR)
    if given is None:
        return None
    at, _, rest = given.partition(":")
    rule, colon, subject = rest.partition(":")
    try:
        if not colon or not NAME.fullmatch(rule):
            raise ValueError
        return float(at), rule, subject
    except ValueError:
        raise CallerError("400", f"after: `next` of a page expected, not {shown(given)}") from None


def _firing(row: stored.Row) -> dict[str, object]:
    return {
        "rule": row["rule"],
        "kind": "",
        "subject": row["subject"],
        "label": row["label"],
        "site": row["site"],
        "since": iso(row["since"]),
        "fired_at": iso(row["fired_at"]),
        "told_at": iso(row["told_at"]),
    }


async def alert_log(gateway: Gateway, args: Args, source: str) -> Reply:
    """A page of the messages that were sent, or were to be sent, the newest first."""
    receiver, after = arguments.text(args, "receiver"), arguments.text(args, "after", 26)
    limit = arguments.limit(args)
    rows = await gateway.records.read(
        stored.log_page, receiver=receiver, after=after, limit=limit + 1
    )
    items = [{**row, "at": iso(row["at"])} for row in rows[:limit]]
    more = items[-1]["id"] if len(rows) > limit else None
    return {"status": "200", "items": items, "next": more}


async def alert_rules(gateway: Gateway, args: Args, source: str) -> Reply:
    """All rules."""
    rows = await gateway.records.read(stored.rules)
    return {"status": "200", "items": [_rule(Rule.of(row)) for row in rows], "next": None}


def _rule(rule: Rule) -> dict[str, object]:
    values = rule.row()
    return {**values, "receivers": list(rule.receivers), "added_at": iso(rule.added_at)}


async def alert_rule_add(gateway: Gateway, args: Args, source: str) -> Reply:
    """Add a rule, in force at once. Raises CallerError: 400, or 409 if the name is taken."""
    name, kind = arguments.text(args, "name"), arguments.text(args, "kind")
    if name is None or kind is None:
        missing = "kind" if name else "name"
        raise CallerError("400", f"{missing}: a string expected, not nothing")
    if kind not in KINDS:
        raise CallerError("400", f"kind: one of {', '.join(KINDS)} expected, not {shown(kind)}")
    usual = KINDS[kind].minutes
    values: dict[str, Any] = {"minutes": usual or 0, "days": DAYS if usual is None else 0}
    rule = Rule(name, kind, **{"receivers": (), **values, **_given(args)}, added_at=time())
    with trio.CancelScope(shield=True):
        async with gateway.alerts.changing:
            rule = await _checked(gateway, rule)
            rows = await gateway.records.read(stored.rules)
            if any(row["name"] == name for row in rows):
                raise CallerError("409", f"name: there is a rule {name}; edit or remove it")
            if len(rows) >= MAX_RULES:
                raise CallerError("409", f"there are {MAX_RULES} rules; remove one")
            await gateway.records.change(stored.add_rule, rule.row())
            await _in_force(gateway)
    log.info("alert rule added rule=%s kind=%s source=%s", name, kind, source)
    return {"status": "200", "message": f"added the rule {name}", **_answer(rule)}


async def alert_rule_edit(gateway: Gateway, args: Args, source: str) -> Reply:
    """Change what is given. Raises CallerError: 400."""
    name = arguments.text(args, "name")
    if not any(field in args for field in RULE):
        raise CallerError("400", f"nothing to change: one of {', '.join(RULE)} expected")
    with trio.CancelScope(shield=True):
        async with gateway.alerts.changing:
            old = await _found(gateway, name)
            rule = await _checked(gateway, replace(old, **_given(args)))
            anew = not rule.finds_as(old) or rule.enabled != old.enabled
            if anew:  # what was so until now is not told
                rule = replace(rule, added_at=time())
            await gateway.records.change(stored.change_rule, rule.name, rule.row(), anew=anew)
            await _in_force(gateway)
    log.info("alert rule changed rule=%s source=%s", rule.name, source)
    return {"status": "200", "message": f"changed the rule {rule.name}", **_answer(rule)}


async def alert_rule_remove(gateway: Gateway, args: Args, source: str) -> Reply:
    """Remove a rule. Nothing more is told of it, not even that something is over."""
    name = arguments.text(args, "name")
    with trio.CancelScope(shield=True):
        async with gateway.alerts.changing:
            rule = await _found(gateway, name)
            await gateway.records.change(stored.remove_rule, rule.name)
            await _in_force(gateway)
    log.info("alert rule removed rule=%s source=%s", rule.name, source)
    return {"status": "200", "message": f"removed the rule {rule.name}", "name": rule.name}


def _answer(rule: Rule) -> dict[str, object]:
    return {"name": rule.name, "rule": _rule(rule)}


def _given(args: Args) -> dict[str, Any]:
    """What the request says of a rule, in the types of Rule. Bounds are `checked`."""
    values: dict[str, Any] = {}
    for field in ("minutes", "days", "repeat"):
        if (number := arguments.number(args, field)) is not None:
            values[field] = number
    for field in ("all_clear", "enabled"):
        if (yes := arguments.maybe(args, field)) is not None:
            values[field] = yes
    for field, most in (("site", MAX_NAME), ("quiet", 11), ("zone", MAX_ZONE)):
        if field in args:
            given = args[field]
            values[field] = "" if given in (None, "") else arguments.text(args, field, most)
    if (names := arguments.names(args, "receivers")) is not None:
        values["receivers"] = tuple(sorted(names))
    return values


async def _checked(gateway: Gateway, rule: Rule) -> Rule:
    try:
        checked(rule)
    except ValueError as err:
        raise CallerError("400", str(err)) from None
    known = [row["name"] for row in await gateway.records.read(stored.receivers)]
    if unknown := [name for name in rule.receivers if name not in known]:
        there = ", ".join(known) or "none: add one first"
        raise CallerError(
            "400", f"receivers: no receiver is called {shown(unknown[0])}; there are {there}"
        )
    return rule


async def _found(gateway: Gateway, name: str | None) -> Rule:
    rows = await gateway.records.read(stored.rules)
    for row in rows:
        if row["name"] == name:
            return Rule.of(row)
    there = ", ".join(row["name"] for row in rows)
    given = "nothing" if name is None else shown(name)
    if not there:
        raise CallerError("400", "name: there is no rule; `devgate alert rule add` adds one")
    raise CallerError("400", f"name: one of {there} expected, not {given}")


async def _in_force(gateway: Gateway) -> None:
    await gateway.alerts.reload()
    gateway.alerts.soon()
