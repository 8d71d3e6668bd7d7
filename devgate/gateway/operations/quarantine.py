"""Operations on the quarantine: show it, list keys that may be started in spite of it, lift it."""

from __future__ import annotations

from typing import Any

from devgate.errors import CallerError
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.model import iso

MAX_KEYS = 400  # keys in one request, which has 64 KiB at most


async def quarantine(gateway: Gateway, args: Args, source: str) -> Reply:
    """Whether starts are refused because the database is a copy that was restored."""
    held = found(gateway)
    words = "there is no quarantine"
    if held is not None:
        words = f"every start is refused: {held['reason']}"
    return {"status": "200", "message": words, "quarantine": held}


async def allow(gateway: Gateway, args: Args, source: str) -> Reply:
    """List keys as untried: they may be started. Raises CallerError: 409 if there is no
    quarantine, 400 for what are no keys, or too many."""
    given = args.get("keys")
    if not isinstance(given, list) or not 0 < len(given) <= MAX_KEYS or None in given:
        raise CallerError("400", f"keys: a list of 1 to {MAX_KEYS} keys expected")
    keys = [str(arguments.key({"key": key})) for key in given]
    count = await gateway.quarantine.allow(keys, source)
    return {
        "status": "200",
        "message": f"keys listed as untried: {len(keys)} now, {count} in all",
        "quarantine": found(gateway),
    }


async def lift(gateway: Gateway, args: Args, source: str) -> Reply:
    """Accept all starts again. Raises CallerError (409) if there is no quarantine."""
    held = await gateway.quarantine.lift(source)
    await gateway.records.flushed()
    message = f"the quarantine is lifted, starts are accepted again ({held.reason})"
    return {"status": "200", "message": message, "quarantine": None}


def found(gateway: Gateway) -> dict[str, Any] | None:
    """The quarantine as replies have it; None: there is none."""
    held = gateway.quarantine.held
    if held is None:
        return None
    return {
        "since": iso(held.since),
        "copied_at": iso(held.copied_at),
        "reason": held.reason,
        "keys": gateway.quarantine.keys,
    }
