"""Starts and stops: from a request to an order, and from its outcome to a reply."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from devgate.errors import CallerError, DevgateError
from devgate.gateway.command import Command, Order
from devgate.gateway.completion import result_of
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.model import Source

log = logging.getLogger("devgate.commands")


def _start(gateway: Gateway, args: Args, source: str) -> Order:
    imei = arguments.device(args)
    long = arguments.long(args, gateway.settings.command.max_long)
    unit = arguments.choice(args, "unit", ("seconds", "times"))
    return Order(
        imei,
        "start",
        long,
        arguments.key(args, gateway.settings.command.require_key),
        arguments.seconds(args, "timeout", arguments.MAX_TIMEOUT_SECONDS),
        arguments.seconds(args, "expires", arguments.MAX_EXPIRES_SECONDS),
        source=source,
        seconds=unit == "seconds",
    )


def _test(gateway: Gateway, args: Args, source: str) -> Order:
    return replace(_start(gateway, args, source), test=True)


def _stop(gateway: Gateway, args: Args, source: str) -> Order:
    return Order(
        arguments.device(args),
        "stop",
        key=arguments.key(args),
        timeout=arguments.seconds(args, "timeout", arguments.MAX_TIMEOUT_SECONDS),
        expires=arguments.seconds(args, "expires", arguments.MAX_EXPIRES_SECONDS),
        cancel=arguments.yes(args, "cancel", False),
        source=source,
    )


_FIELDS = ("imei", "key", "timeout", "wait", "expires")
FIELDS: Mapping[str, tuple[str, ...]] = {
    "start": (*_FIELDS, "long", "unit"),
    "stop": (*_FIELDS, "cancel"),
    "test_start": (*_FIELDS, "long", "unit"),
}
ORDERS: Mapping[str, Callable[[Gateway, Args, str], Order]] = {
    "start": _start,
    "stop": _stop,
    "test_start": _test,
}
_NAMES = {name: frozenset(("type", *fields)) for name, fields in FIELDS.items()}


def begin(
    gateway: Gateway,
    args: Args,
    source: str,
    on_done: Callable[[Reply], None],
    id: str | None = None,
) -> bool:
    """`entry.dispatch` without a task, for orders: calls back with the reply. `id` as submit()
    has it.

    False: it is not an order, nothing was done, and the caller must call `dispatch`. Raises what
    that raises. Orders are the most frequent requests: a start costs a fifth less this way.
    """
    name = args.get("type")
    if not isinstance(name, str) or name not in ORDERS:
        return False
    if isinstance(source, Source):
        if source.sites is not None:
            return False  # where the device stands is looked at first
        source = source.plain
    try:
        if not _NAMES[name].issuperset(args):
            raise arguments.unknown(args, FIELDS[name])
        submit(gateway, args, source, partial(_begun_done, gateway, name, source, on_done), id)
    except Exception as err:
        result = "refused" if isinstance(err, CallerError) else "failed"
        gateway.requests.asked[name, source, result] += 1
        raise
    return True


def _begun_done(
    gateway: Gateway, name: str, source: str, on_done: Callable[[Reply], None], reply: Reply
) -> None:
    gateway.requests.asked[name, source, "done"] += 1
    on_done(reply)


def submit(
    gateway: Gateway,
    args: Args,
    source: str,
    on_done: Callable[[Reply], None],
    id: str | None = None,
) -> None:
    """Carry out a start or a stop. A command that was taken goes on if its caller is gone.

    `id` is the command's id; None: a new one. Raises CallerError for an invalid request. Any later
    refusal is a reply.
    """
    try:
        order = ORDERS[str(args["type"])](gateway, args, source)
        if id is not None:
            order = replace(order, id=id)
        wait = arguments.yes(args, "wait", True)
        gateway.orders.submit(order, wait, partial(_settled, order, on_done))
    except CallerError:
        raise
    except Exception as err:
        raise _fault(err) from err


def _settled(
    order: Order, on_done: Callable[[Reply], None], found: Command | Exception | Reply
) -> None:
    if isinstance(found, Command):
        return on_done(_reply(found))
    if isinstance(found, dict):  # another node's
        return on_done(found)
    err = found if isinstance(found, DevgateError) else _fault(found)
    # The reply is made here and not at the door, because here the parsed fields are known.
    return on_done(
        {
            "status": err.status,
            "message": str(err),
            "imei": order.imei,
            "type": order.type,
            "long": order.long,
            "command": None,
            "key": order.key,
            "outcome": err.outcome,
            **err.more,
        }
    )


async def order(gateway: Gateway, args: Args, source: str) -> Reply:
    """submit() for callers that await: returns the reply when the order has one."""
    return await result_of(partial(submit, gateway, args, source))


def _fault(err: Exception) -> DevgateError:
    """The error for a fault of the gateway: the order may have been sent, so it is not refused."""
    log.error("order failed error=%s", type(err).__name__, exc_info=err)
    return DevgateError(
        "408",
        "the gateway failed, its log says how; the outcome is unknown: ask again with the key",
    )


def _reply(command: Command) -> Reply:
    return {
        "status": command.status if command.state == "ended" else "000",
        "message": command.message,
        "imei": command.imei,
        "type": command.type,
        "long": command.long,
        "command": command.id,
        "key": command.key,
        "outcome": command.outcome,
        "late": command.late,
        "ambiguous": command.ambiguous,
        **({} if command.why is None else {"why": command.why}),
    }
