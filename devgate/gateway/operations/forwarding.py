"""Requests that one node of a cluster forwards to another, which must answer them.

    {"type": "forward", "source": "http:shop", "command": ID or null, "request": {...},
     "sites": ["North"], "person": "anna", "address": "203.0.113.9", "role": "read", ...}
    {"type": "ping"}

`sites` are those that the caller is limited to; without them it may see all.

Replies are in an envelope, because a line of the link has fields of its own: {"reply": {...}}, for
a refused request {"refused": {...}}, and after the reply of a stream {"line": {...}} for each
line, then {"end": true}.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from typing import NamedTuple

from devgate.errors import CallerError, DevgateError
from devgate.gateway.completion import result_of
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments, entry
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply, Stream
from devgate.model import Source, alternatives, shown

_TYPES = ("ping", "forward")
_WHO = ("person", "address", "role", "session")  # of a Source, besides its sites
_FIELDS = {
    "ping": frozenset({"type"}),
    "forward": frozenset({"type", "source", "command", "request", "sites", *_WHO}),
}


class Forwarded(NamedTuple):
    """A request that came to another node."""

    request: Args
    source: Source  # who asked that node
    command: str | None  # the id that the order is to have


def forwarded(args: Args) -> Forwarded:
    """The request in a `forward`. Raises CallerError (400) if it is not a request."""
    request, source = args.get("request"), arguments.text(args, "source", arguments.MAX_SOURCE)
    command = args.get("command")
    if not isinstance(request, dict):
        raise arguments.expected("request", "a request", request)
    if source is None:
        raise CallerError("400", "source: who asked expected")
    if command is not None and not arguments.is_command_id(command):
        raise arguments.expected("command", "an id of a command", command)
    if command is not None and request.get("type") not in entry.ORDERS:
        raise CallerError("400", "command: an id is for a start or a stop alone")
    more = {name: text for name in _WHO if (text := arguments.text(args, name)) is not None}
    who = Source(source, arguments.names(args, "sites"), **more)
    return Forwarded(request, who, command)


def begin(gateway: Gateway, args: Args, source: str, on_done: Callable[[Reply], None]) -> bool:
    """dispatch() without a task, for orders and pings, as `entry.begin` is."""
    kind = _known(args)
    if kind == "ping":
        on_done({"status": "200", "node": _node(gateway)})
        return True
    one = forwarded(args)
    try:
        answered = partial(_answered, on_done)
        return entry.begin(gateway, one.request, one.source, answered, one.command)
    except DevgateError as err:
        on_done(_refused(err))
        return True


async def dispatch(gateway: Gateway, args: Args, source: str) -> Reply | Stream:
    """Answer another node. Raises CallerError (400) for a type that nodes do not use."""
    kind = _known(args)
    if kind == "ping" or forwarded(args).request.get("type") in entry.ORDERS:
        return await result_of(partial(begin, gateway, args, source))
    one = forwarded(args)
    try:
        answer = await entry.dispatch(gateway, one.request, one.source)
    except DevgateError as err:
        return _refused(err)
    if isinstance(answer, Stream):
        return Stream({"reply": answer.reply}, _lines(answer))
    return {"reply": answer}


def _known(args: Args) -> str:
    kind = args.get("type")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise arguments.expected("type", alternatives(_TYPES), kind)
    if unknown := [name for name in args if name not in _FIELDS[kind]]:
        raise CallerError("400", f"{kind}: it has no {shown(unknown[0])}")
    return kind


def _node(gateway: Gateway) -> str:
    if gateway.cluster is None:
        raise CallerError("400", "this gateway is no node of a cluster")
    return gateway.cluster.node


def _answered(on_done: Callable[[Reply], None], reply: Reply) -> None:
    on_done({"reply": reply})


def _refused(err: DevgateError) -> Reply:
    return {
        "refused": {
            "status": err.status, "message": str(err), "outcome": err.outcome, **err.more
        }
    }  # fmt: skip


async def _lines(stream: Stream) -> AsyncGenerator[Reply, None]:
    async with aclosing(stream.lines) as lines:
        async for line in lines:
            yield {"line": line}
    yield {"end": True}
