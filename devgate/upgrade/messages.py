"""Messages between the two programs besides the state: errors and requests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from devgate.errors import DevgateError
from devgate.gateway.operations.reply import Reply
from devgate.model import Source
from devgate.store.ownership import Owner

# The version of the messages' format. A program with another version refuses, and says so. Raise
# it whenever an older version could not read the messages of this one.
FORMAT = 2

NOT_HERE = (
    "the gateway was upgraded at this moment, and this request cannot be passed on; nothing was "
    "done: ask again"
)


class Former(NamedTuple):
    """The first message, to the program that takes over."""

    format: int
    version: str
    owner: Owner  # of the database; a list, once it has been a message


def packed(source: str) -> dict[str, Any]:
    """A source, with everything that limits what it may see, for a message."""
    who = Source.of(source)
    return {
        "text": who.plain,
        "sites": None if who.sites is None else sorted(who.sites),
        "person": who.person,
        "address": who.address,
        "role": who.role,
        "session": who.session,
    }


def unpacked(who: Mapping[str, Any]) -> Source:
    """The same again."""
    sites = None if who["sites"] is None else frozenset(who["sites"])
    fields = {name: who[name] for name in ("person", "address", "role", "session")}
    return Source(who["text"], sites, **fields)


def answer(found: Reply | Exception) -> dict[str, Any]:
    """The result of a request, for a message."""
    if isinstance(found, dict):
        try:
            json.dumps(found)
        except (TypeError, ValueError):
            return answer(DevgateError("500", "it was done, and the answer cannot be passed on"))
        return {"reply": found}
    if isinstance(found, DevgateError):
        return {
            "error": {
                "status": found.status,
                "text": str(found),
                "outcome": found.outcome,
                "more": dict(found.more),
            }
        }
    return answer(DevgateError("500", "the gateway failed: its log says how"))


def answered(message: Mapping[str, Any]) -> Reply | Exception:
    """The same again."""
    if "reply" in message:
        reply: Reply = message["reply"]
        return reply
    error = message["error"]
    return DevgateError(
        error["status"], error["text"], outcome=error["outcome"], more=error["more"]
    )
