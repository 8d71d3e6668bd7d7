"""Operations on webhooks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress

import trio
from ulid import ULID

from devgate.config.webhook import WebhookSettings, new_secret
from devgate.errors import CallerError, DevgateError, NotThere, StoreError
from devgate.gateway.added_webhooks import must_close, opened, settings_of
from devgate.gateway.clock import time
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments, audit
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.model import iso
from devgate.store import webhooks as stored
from devgate.store.seal import SealError
from devgate.webhooks.position import Position
from devgate.webhooks.public_addresses import literal, not_public
from devgate.webhooks.target import Target
from devgate.webhooks.webhooks import PERMIT_ADDED, Unusable

MAX_WEBHOOKS = 100  # a guess: each reads all events and holds a thousand of them
CHANGES = ("url", "events", "secret", "new_secret", "enabled")

log = logging.getLogger("devgate.webhooks")


async def webhooks(gateway: Gateway, args: Args, source: str) -> Reply:
    """All webhooks, with their positions and how their deliveries go."""
    items = [_item(gateway, target) for target in gateway.webhooks.targets.values()]
    items += map(_unusable, gateway.webhooks.unusable.values())
    return {"status": "200", "items": items, "next": None}


def _item(gateway: Gateway, target: Target) -> Reply:
    window, oldest = target.window, target.window.oldest
    return {
        "name": target.name,
        "url": target.url,
        "events": sorted(target.wanted),
        "kept_in": "gateway.toml" if _configured(gateway, target.name) else "database",
        "state": target.state,
        "position": window.position,
        "lag": max(0, gateway.events.last - window.position),
        "behind": round(max(0.0, time() - oldest.at), 3) if oldest else 0.0,
        "under_way": target.backoff.under_way,
        "failures": target.backoff.failures,
        "next_at": iso(target.next_at),
        "error": target.disabled or target.error,
        "delivered_at": iso(target.delivered_at),
        "missed": target.missed,
    }


def _unusable(one: Unusable) -> Reply:
    """As _item(), for a webhook that cannot be used here."""
    return {
        "name": one.name,
        "url": one.url,
        "events": sorted(one.events),
        "kept_in": "database",
        "state": "unusable",
        "position": one.position,
        **dict.fromkeys(("lag", "under_way", "failures", "missed"), 0),
        "behind": 0.0,
        "next_at": None,
        "error": one.why,
        "delivered_at": None,
    }


async def webhook_add(gateway: Gateway, args: Args, source: str) -> Reply:
    """Add a webhook, in force at once. Raises CallerError: 400, or 409 if the name is taken."""
    name, url = arguments.text(args, "name"), arguments.secret_text(args, "url")
    if name is None or url is None:
        raise CallerError("400", f"{'url' if name else 'name'}: a string expected, not nothing")
    after, last = arguments.number(args, "after"), gateway.events.last
    if after is None:
        after = last
    if after > last:
        raise NotThere(f"after: the number of an event, up to {last}, expected, not {after}")
    given = arguments.secret_text(args, "secret")
    secret = given or new_secret()
    row = {"name": name, "url": url, "secret": secret, "events": _events(args), "added_at": time()}
    webhook = _checked(gateway, row)
    await gateway.webhooks.load()
    # What is on disk gets in force, even if the caller leaves.
    with trio.CancelScope(shield=True):
        async with gateway.webhooks.changing:
            _must_be_free(gateway, name)
            sealed = {**row, "secret": await must_close(gateway.records, gateway.seal, secret)}
            await gateway.records.change(stored.add, sealed, webhook.shown, after)
            gateway.webhooks.unusable.pop(name, None)
            gateway.webhooks.begin(webhook, Position(name, webhook.shown, after))
    log.info("webhook added target=%s url=%s source=%s", name, webhook.shown, source)
    audit.note(gateway, "webhook.added", source, name=name)
    return {
        "status": "200",
        "message": f"added {name}; it gets every event after {after}",
        "name": name,
        "url": webhook.shown,
        "after": after,
        "secret": None if given else secret,
    }


def _must_be_free(gateway: Gateway, name: str) -> None:
    if _configured(gateway, name):
        raise CallerError("409", f"name: {name} is a [[webhook]] of gateway.toml already")
    if name in gateway.webhooks.targets:
        raise CallerError("409", f"name: there is a webhook {name} already; edit or remove it")
    if len(gateway.webhooks.targets) >= MAX_WEBHOOKS:
        raise CallerError(
            "409", f"there are {MAX_WEBHOOKS} webhooks, and no more can be; remove one"
        )


async def webhook_edit(gateway: Gateway, args: Args, source: str) -> Reply:
    """Change what is given. `enabled` alone is also for those of gateway.toml."""
    if not any(name in args for name in CHANGES):
        raise CallerError("400", f"nothing to change: one of {', '.join(CHANGES)} expected")
    target, enabled = _target(gateway, args), arguments.maybe(args, "enabled")
    before, was_enabled = target, target.disabled is None
    values: dict[str, object] = {}
    if (url := arguments.secret_text(args, "url")) is not None:
        values["url"] = url
    if "events" in args:
        values["events"] = _events(args)
    new = new_secret() if arguments.yes(args, "new_secret", False) else None
    given = arguments.secret_text(args, "secret")
    if given and new:
        raise CallerError("400", "new_secret: either a secret or a new one expected, not both")
    if (secret := given or new) is not None:
        values["secret"] = secret
    with trio.CancelScope(shield=True):
        async with gateway.webhooks.changing:
            if values:
                await _change(gateway, target.name, values)
            target = _target(gateway, {"name": target.name})
            if enabled is not None and enabled is (target.disabled is not None):
                (target.enable if enabled else target.disable)()
                await gateway.records.flushed()
    log.info("webhook changed target=%s source=%s", target.name, source)
    # Not with the whole URL: it may hold a secret.
    audit.note(gateway, "webhook.changed", source, name=target.name, changes={
        name: {"old": old, "new": now} for name, old, now in (
            ("url", before.url, target.url),
            ("events", ", ".join(sorted(before.wanted)), ", ".join(sorted(target.wanted))),
            ("enabled", was_enabled, target.disabled is None),
            ("secret", *(("hidden", "hidden") if "secret" in values else ("", ""))),
        ) if old != now or (name == "secret" and old)
    })  # fmt: skip
    return {
        "status": "200",
        "message": f"changed {target.name}; it is {target.state}",
        "name": target.name,
        "url": target.url,
        "secret": new,
    }


async def _change(gateway: Gateway, name: str, values: Mapping[str, object]) -> None:
    """Replace the webhook by a changed one, which begins at its position."""
    if _configured(gateway, name):
        raise CallerError("409", f"{name} is a [[webhook]] of gateway.toml: change it there")
    rows = {row["name"]: row for row in await gateway.records.read(stored.added)}
    if name not in rows:
        raise _unknown(gateway, name)
    try:
        row = {**rows[name], "secret": await opened(gateway.seal, rows[name]["secret"])}
    except SealError as err:
        if "secret" not in values:
            raise StoreError(f"secret: {err}") from None
        row = rows[name]
    webhook = _checked(gateway, {**row, **values})
    if "secret" in values:
        secret = await must_close(gateway.records, gateway.seal, str(values["secret"]))
        values = {**values, "secret": secret}
    await gateway.records.change(stored.change, name, values)
    gateway.webhooks.begin(webhook, await gateway.webhooks.end(name))


async def webhook_remove(gateway: Gateway, args: Args, source: str) -> Reply:
    """Remove a webhook that was added by command. Raises CallerError: 400, or 409."""
    name = arguments.required(args, "name", "the webhook to remove")  # also where there is one
    if _configured(gateway, name):
        raise CallerError(
            "409", f"{name} is a [[webhook]] of gateway.toml: remove it there and restart"
        )
    with trio.CancelScope(shield=True):
        async with gateway.webhooks.changing:
            if not await gateway.records.change(stored.remove, name):
                raise _unknown(gateway, name)
            gateway.webhooks.unusable.pop(name, None)
            if name in gateway.webhooks.targets:
                await gateway.webhooks.end(name)
            # A write of its position may be under way. If that row stays, it does no harm: `add`
            # writes its own.
            with suppress(StoreError):
                await gateway.records.flushed()
                await gateway.records.change(stored.forget, name)
    log.info("webhook removed target=%s source=%s", name, source)
    audit.note(gateway, "webhook.removed", source, name=name)
    return {"status": "200", "message": f"removed {name}; it gets nothing more", "name": name}


async def webhook_test(gateway: Gateway, args: Args, source: str) -> Reply:
    """Post a test to a webhook, once. Raises DevgateError (503) if it does not take it."""
    target = _target(gateway, args)
    outcome = await target.test(f"test_{ULID()}")
    if outcome.kind != "delivered":
        raise DevgateError(
            "503", f"{target.name} did not take the test: {outcome.text}", outcome="failed"
        )
    message = f"{target.name} took the test: {outcome.text}"
    return {"status": "200", "message": message, "name": target.name}


async def webhook_replay(gateway: Gateway, args: Args, source: str) -> Reply:
    """Deliver all events after `after` to a webhook, also those that it has got already."""
    target, after = _target(gateway, args), arguments.number(args, "after")
    last = gateway.events.last
    if after is None or after > last:
        given = "nothing" if after is None else after
        raise NotThere(f"after: the number of an event, up to {last}, expected, not {given}")
    target.replay(after)
    return {
        "status": "200",
        "message": f"{target.name} gets every event after {after} (again); the last is {last}",
        "name": target.name,
        "after": after,
    }


def _target(gateway: Gateway, args: Args) -> Target:
    """The webhook that is named, or the only one that there is."""
    name, targets = arguments.text(args, "name"), gateway.webhooks.targets
    if name is None and len(targets) == 1:
        return next(iter(targets.values()))
    if name is not None and (unusable := gateway.webhooks.unusable.get(name)) is not None:
        raise CallerError("409", f"the webhook {name} cannot be used here: {unusable.why}")
    if name is None or name not in targets:
        raise _unknown(gateway, name)
    return targets[name]


def _unknown(gateway: Gateway, name: str | None) -> NotThere:
    targets = gateway.webhooks.targets
    if not targets:
        return NotThere(
            "there is no webhook: `devgate webhooks add NAME URL` adds one, or a [[webhook]] in "
            "gateway.toml",
        )
    given = "nothing" if name is None else repr(name)
    return NotThere(f"name: one of {', '.join(targets)} expected, not {given}")


def _configured(gateway: Gateway, name: str) -> bool:
    return name in gateway.webhooks.configured


def _events(args: Args) -> str:
    """The events as the database has them: separated by commas; empty means all."""
    return ",".join(sorted(arguments.names(args, "events") or ()))


def _checked(gateway: Gateway, row: Mapping[str, object]) -> WebhookSettings:
    """The settings of a row that may be added. Raises CallerError."""
    permitted = gateway.settings.control.private_webhooks
    try:
        webhook = settings_of(row, allow_private=permitted)
    except ValueError as err:
        raise CallerError("400", str(err)) from None
    # Names are resolved and checked at each connection. An address can be refused here at once.
    if not permitted and (address := literal(webhook.url)):
        raise CallerError("400", f"url: {not_public(address, PERMIT_ADDED)}")
    return webhook
