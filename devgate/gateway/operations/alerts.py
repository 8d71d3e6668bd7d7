"""Operations on alerts: what fires, what was sent, and the rules."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import trio

from devgate.alerts.receiver import Receiver
from devgate.alerts.rule import (
    DAYS,
    KINDS,
    MAX_OF_LIMITED_OWNERS,
    MAX_RULES,
    MAX_ZONE,
    NAME,
    Rule,
    checked,
)
from devgate.alerts.scope import Keeper, Sites
from devgate.errors import CallerError, NotThere
from devgate.gateway.clock import time
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.model import iso, shown
from devgate.store import alerts as stored
from devgate.store.device import MAX_NAME
from devgate.store.machine_record import MAX_TAG, one_tag

RULE_FIELDS = (
    "site", "tag", "minutes", "days", "receivers", "quiet", "zone", "repeat", "all_clear",
    "enabled",
)  # fmt: skip
MAX_CURSOR = 420  # characters

N = TypeVar("N", Rule, Receiver)

log = logging.getLogger("devgate.alerts")


async def alerts(gateway: Gateway, args: Args, source: str) -> Reply:
    """A page of what fires now, the newest first."""
    after, limit, keeper = _place(args), arguments.limit(args), Keeper.of(source)
    rules = await _rules(gateway, keeper)
    names_seen = None if keeper.sites is None else [one.name for one in rules]
    count = await gateway.records.read(stored.firing_count, names_seen)
    rows = await gateway.records.read(stored.firing_page, after, limit + 1, names_seen)
    items = [_firing(row) for row in rows[:limit]]
    more = rows[limit - 1] if len(rows) > limit else None
    cursor = None if more is None else f"{more['fired_at']!r}:{more['rule']}:{more['subject']}"
    kinds = {one.name: one.kind for one in rules}
    for item in items:
        item["kind"] = kinds.get(str(item["rule"]), "")
    return {"status": "200", "items": items, "next": cursor, "count": count}


def _place(args: Args) -> stored.Key | None:
    given = arguments.text(args, "after", MAX_CURSOR)
    if given is None:
        return None
    at, _, tail = given.partition(":")
    rule, colon, subject = tail.partition(":")
    try:
        if not colon or not NAME.fullmatch(rule):
            raise ValueError
        return float(at), rule, subject
    except ValueError:
        raise arguments.expected("after", "`next` of a page", given) from None


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
    keeper, since = Keeper.of(source), None
    if keeper.sites is not None:  # not what his receivers got when they were another one's
        since = {one.name: one.added_at for one in await receivers(gateway, keeper)}
    rows = await gateway.records.read(
        stored.log_page, receiver=receiver, after=after, limit=limit + 1, since=since
    )
    items = [{**row, "at": iso(row["at"])} for row in rows[:limit]]
    more = items[-1]["id"] if len(rows) > limit else None
    return {"status": "200", "items": items, "next": more}


async def alert_rules(gateway: Gateway, args: Args, source: str) -> Reply:
    """All rules that the caller may see."""
    rules = await _rules(gateway, Keeper.of(source))
    return {"status": "200", "items": [_rule(one) for one in rules], "next": None}


async def receivers(gateway: Gateway, keeper: Keeper) -> list[Receiver]:
    """All receivers that the caller may see."""
    found = [Receiver.of(row) for row in await gateway.records.read(stored.receivers)]
    return [one for one in found if keeper.sees(one.sites)]


async def _rules(gateway: Gateway, keeper: Keeper) -> list[Rule]:
    found = [Rule.of(row) for row in await gateway.records.read(stored.rules)]
    return [one for one in found if keeper.sees(one.sites)]


def _rule(rule: Rule) -> dict[str, object]:
    return {
        **rule.row(),
        "receivers": list(rule.receivers),
        "sites": None if rule.sites is None else sorted(rule.sites),
        "added_at": iso(rule.added_at),
    }


async def alert_rule_add(gateway: Gateway, args: Args, source: str) -> Reply:
    """Add a rule, in force at once. Raises CallerError: 400, or 409 if the name is taken."""
    name, kind = arguments.text(args, "name"), arguments.text(args, "kind")
    if name is None or kind is None:
        missing = "kind" if name else "name"
        raise CallerError("400", f"{missing}: a string expected, not nothing")
    if kind not in KINDS:
        raise arguments.expected("kind", f"one of {', '.join(KINDS)}", kind)
    usual, keeper = KINDS[kind].minutes, Keeper.of(source)
    values: dict[str, Any] = {"minutes": usual or 0, "days": DAYS if usual is None else 0}
    values |= {"receivers": (), **_given(args), **keeper._asdict()}
    rule = Rule(name, kind, **values, added_at=time())
    with trio.CancelScope(shield=True):
        async with gateway.alerts.changing:
            rule = await _checked(gateway, rule, keeper)
            rules = [Rule.of(row) for row in await gateway.records.read(stored.rules)]
            if any(one.name == name for one in rules):
                raise CallerError("409", f"name: there is a rule {name}; edit or remove it")
            must_have_room("rules", [one.sites for one in rules], MAX_RULES, keeper)
            await gateway.records.change(stored.add_rule, rule.row())
            await _in_force(gateway)
    log.info("alert rule added rule=%s kind=%s source=%s", name, kind, source)
    return {"status": "200", "message": f"added the rule {name}", **_answer(rule)}


async def alert_rule_edit(gateway: Gateway, args: Args, source: str) -> Reply:
    """Change what is given. Raises CallerError: 400."""
    name = arguments.text(args, "name")
    if not any(field in args for field in RULE_FIELDS):
        raise CallerError("400", f"nothing to change: one of {', '.join(RULE_FIELDS)} expected")
    keeper = Keeper.of(source)
    with trio.CancelScope(shield=True):
        async with gateway.alerts.changing:
            old = await _found(gateway, name, keeper)
            rule = replace(old, **_given(args))
            if keeper.sites is not None:  # it is his from now on
                sites = await _sites_of(gateway, rule, keeper)
                rule = replace(rule, owner=keeper.owner, sites=sites)
            rule = await _checked(gateway, rule, keeper, old.receivers)
            anew = not rule.finds_as(old) or rule.enabled != old.enabled
            anew |= rule.sites != old.sites
            if anew:  # what is true already is not reported
                rule = replace(rule, added_at=time())
            await gateway.records.change(stored.change_rule, rule.name, rule.row(), anew=anew)
            await _in_force(gateway)
    log.info("alert rule changed rule=%s source=%s", rule.name, source)
    return {"status": "200", "message": f"changed the rule {rule.name}", **_answer(rule)}


async def alert_rule_remove(gateway: Gateway, args: Args, source: str) -> Reply:
    """Remove a rule. No more messages are sent for it, not even that something is over."""
    name = arguments.text(args, "name")
    with trio.CancelScope(shield=True):
        async with gateway.alerts.changing:
            rule = await _found(gateway, name, Keeper.of(source))
            await gateway.records.change(stored.remove_rule, rule.name)
            await _in_force(gateway)
    log.info("alert rule removed rule=%s source=%s", rule.name, source)
    return {"status": "200", "message": f"removed the rule {rule.name}", "name": rule.name}


def _answer(rule: Rule) -> dict[str, object]:
    return {"name": rule.name, "rule": _rule(rule)}


def _given(args: Args) -> dict[str, Any]:
    """The fields of a rule in the request, in the types of Rule. `checked` has their bounds."""
    values: dict[str, Any] = {}
    for field in ("minutes", "days", "repeat"):
        if (number := arguments.number(args, field)) is not None:
            values[field] = number
    for field in ("all_clear", "enabled"):
        if (yes := arguments.maybe(args, field)) is not None:
            values[field] = yes
    for field, length in (("site", MAX_NAME), ("quiet", 11), ("zone", MAX_ZONE)):
        if field in args:
            given = args[field]
            values[field] = "" if given in (None, "") else arguments.text(args, field, length)
    if "tag" in args:
        tag = arguments.text(args, "tag", MAX_TAG) if args["tag"] not in (None, "") else None
        values["tag"] = one_tag("tag", tag) if tag else ""
    if (names := arguments.names(args, "receivers")) is not None:
        values["receivers"] = tuple(sorted(names))
    return values


def must_have_room(what: str, sites: Sequence[Sites], limit: int, keeper: Keeper) -> None:
    """Raises CallerError (409) if there are `limit` already, or MAX_OF_LIMITED_OWNERS of this
    keeper's. `sites` are those of each one that there is."""
    if len(sites) >= limit:
        raise CallerError("409", f"there are {limit} {what}; remove one")
    if keeper.sites is not None and sum(map(keeper.sees, sites)) >= MAX_OF_LIMITED_OWNERS:
        raise CallerError(
            "409", f"there are {MAX_OF_LIMITED_OWNERS} {what} of your sites; remove one"
        )


async def _checked(
    gateway: Gateway, rule: Rule, keeper: Keeper, also: Collection[str] = ()
) -> Rule:
    """The rule. Raises CallerError (400). `also`: receivers that it had, whoever's they are."""
    try:
        checked(rule)
    except ValueError as err:
        raise CallerError("400", str(err)) from None
    known = [one.name for one in await receivers(gateway, keeper)]
    if unknown := [name for name in rule.receivers if name not in (*known, *also)]:
        there = ", ".join(known) or "none: add one first"
        raise NotThere(f"receivers: no receiver is called {shown(unknown[0])}; there are {there}")
    return rule


async def _sites_of(gateway: Gateway, rule: Rule, keeper: Keeper) -> Sites:
    """The sites of a rule that this keeper changes: all that he may see now. If one of its
    receivers belongs to somebody who sees fewer sites, they stay as they are."""
    assert keeper.sites is not None
    found = await receivers(gateway, Keeper())
    others = [one for one in found if one.name in rule.receivers and one.owner != keeper.owner]
    if any(one.sites is not None and not keeper.sites <= one.sites for one in others):
        return rule.sites
    return keeper.sites


async def _found(gateway: Gateway, name: str | None, keeper: Keeper) -> Rule:
    rules = await _rules(gateway, keeper)
    if not rules:
        raise NotThere("name: there is no rule; `devgate alert rule add` adds one")
    return named(name, rules)


def named(name: str | None, known: Sequence[N]) -> N:
    """The one of that name. Raises NotThere."""
    for one in known:
        if one.name == name:
            return one
    there = ", ".join(one.name for one in known)
    raise NotThere(f"name: one of {there} expected, not {shown(name)}")


async def _in_force(gateway: Gateway) -> None:
    await gateway.alerts.reload()
    gateway.alerts.soon()
