"""A reply, or an error, to one line of JSON. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from devgate.errors import DevgateError
from devgate.model import to_ascii_json, to_json

Args = Mapping[str, object]
Reply = dict[str, object]

DEVICE_COMMANDS = ("start", "stop", "test_start")
ORDER = ("status", "message", "imei", "type", "long", "command")


class Asked(NamedTuple):
    """One request, on its way to its reply."""

    request: Args
    args: Args  # without its `id` and `token`
    source: str
    reply: Callable[[Reply], None]


def line(reply: Reply, request: Args) -> bytes:
    r"""The reply to this request as it goes out: UTF-8, with its `\n`.

    The request's `id`, if it had one, hides a field of that name. It comes last, but for
    the replies of start and stop, whose order is given: there it follows `command`.
    Raises TypeError or ValueError for a reply that cannot be written as JSON: our own fault.
    """
    if "id" in request:
        rest = {**reply, "id": request["id"]}
        first = ORDER if request.get("type") in DEVICE_COMMANDS else ()
        id = rest.pop("id")
        reply = {name: rest.pop(name) for name in first if name in rest}
        reply = {**reply, "id": id, **rest} if reply else {**rest, "id": id}
    try:
        return to_json(reply).encode() + b"\n"
    except UnicodeEncodeError:
        return to_ascii_json(reply).encode() + b"\n"


def refusal(request: Args, err: DevgateError) -> Reply:
    """The reply to a request that ended in an error.

    For a device's command it has the fields of every reply to one, if they are known.
    """
    reply: Reply = {"status": err.status, "message": str(err)}
    last: Reply = {"outcome": err.outcome, **err.more}
    kind = request.get("type")
    if isinstance(kind, str) and kind in DEVICE_COMMANDS:
        reply["imei"] = request.get("imei")
        reply["type"] = kind
        reply["long"] = request.get("long")
        reply["command"] = None
    return {**reply, **last}
