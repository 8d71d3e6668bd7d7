"""Webhooks as operations, and their positions in the database."""

from __future__ import annotations

from collections.abc import Mapping
from time import time

from ulid import ULID

from devgate.errors import CallerError, DevgateError
from devgate.events.target import Kept, Target
from devgate.gateway import fields
from devgate.gateway.fields import Args
from devgate.gateway.gateway import Gateway
from devgate.gateway.records import Records
from devgate.gateway.replies import Reply
from devgate.model import iso
from devgate.store import targets as stored


class Positions:
    """Keeps how far each webhook has come: written with the journal, the newest of each."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def load(self) -> Mapping[str, Kept]:
        rows = await self._records.read(stored.all_targets)
        return {row[0]: Kept(*row) for row in rows}

    def save(self, kept: Kept) -> None:
        self._records.target(kept)


async def webhooks(gateway: Gateway, args: Args, source: str) -> Reply:
    items = [_item(gateway, target) for target in gateway.webhooks.values()]
    return {"status": "200", "items": items, "next": None}


def _item(gateway: Gateway, target: Target) -> Reply:
    window, oldest = target.window, target.window.oldest
    return {
        "name": target.name,
        "url": target.url,
        "events": sorted(target.wanted),
        "state": target.state,
        "position": window.position,
        "lag": max(0, gateway.events.last - window.position),
        "behind": round(max(0.0, time() - oldest.at), 3) if oldest else 0.0,
        "under_way": target.pace.under_way,
        "failures": target.pace.failures,
        "next_at": iso(target.next_at),
        "error": target.disabled or target.error,
        "delivered_at": iso(target.delivered_at),
        "missed": target.missed,
    }


async def webhook_test(gateway: Gateway, args: Args, source: str) -> Reply:
    target = _target(gateway, args)
    outcome = await target.test(f"test_{ULID()}")
    if outcome.kind != "taken":
        raise DevgateError("503", f"{target.name} did not take the test: {outcome.text}")
    message = f"{target.name} took the test: {outcome.text}"
    return {"status": "200", "message": message, "name": target.name}


async def webhook_replay(gateway: Gateway, args: Args, source: str) -> Reply:
    target, after = _target(gateway, args), fields.number(args, "after")
    last = gateway.events.last
    if after is None or after > last:
        given = "nothing" if after is None else after
        raise CallerError("400", f"after: the number of an event, up to {last}, not {given}")
    target.replay(after)
    return {
        "status": "200",
        "message": f"{target.name} gets every event after {after} (again); the last is {last}",
        "name": target.name,
        "after": after,
    }


def _target(gateway: Gateway, args: Args) -> Target:
    """The one that is named, or the only one that there is."""
    name, targets = fields.text(args, "name"), gateway.webhooks
    if not targets:
        raise CallerError("400", "no webhook is configured: add a [[webhook]] to gateway.toml")
    if name is None and len(targets) == 1:
        return next(iter(targets.values()))
    if name is None or name not in targets:
        given = "nothing" if name is None else repr(name)
        raise CallerError("400", f"name: one of {', '.join(targets)} expected, not {given}")
    return targets[name]
