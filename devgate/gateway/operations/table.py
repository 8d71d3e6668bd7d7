"""What can be asked of the gateway: one table, carried by every way in."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from devgate.errors import CallerError, DevgateError
from devgate.gateway.command import Command, Order
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments, devices, events, reports, status, webhooks
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply, Stream
from devgate.gateway.trimming import MAX_ROWS
from devgate.model import shown, unknown_field
from devgate.store.late import parse

__all__ = ["OPERATIONS", "Args", "Reply", "Stream", "dispatch", "take"]


log = logging.getLogger("devgate.commands")


@dataclass(frozen=True, slots=True)
class Operation:
    """`takes` are all fields that a request for it may have, besides `type`; another one is an
    error by whichever way in it comes. The HTTP calls and their document take theirs from here."""

    summary: str
    run: Callable[[Gateway, Args, str], Awaitable[Reply | Stream]]
    takes: tuple[str, ...] = ()


def _start(gateway: Gateway, args: Args, source: str) -> Order:
    imei = arguments.device(args)
    long = arguments.long(args, gateway.settings.command.max_long)
    if arguments.choice(args, "unit", ("seconds", "times")) == "seconds" and (
        gateway.directory.counts_times(imei)
    ):
        raise CallerError("400", f"long: {imei} counts times: a number expected, not a duration")
    return Order(
        imei,
        "start",
        long,
        _key(gateway, args),
        arguments.seconds(args, "timeout", arguments.MAX_TIMEOUT),
        arguments.seconds(args, "expires", arguments.MAX_EXPIRES),
        source=source,
    )


def _key(gateway: Gateway, args: Args) -> str | None:
    key = arguments.key(args)
    if key is None and gateway.settings.command.require_key:
        raise CallerError(
            "400",
            "key: your order number expected, for [command] require_key is true; nothing was sent",
        )
    return key


def _stop(gateway: Gateway, args: Args, source: str) -> Order:
    return Order(
        arguments.device(args),
        "stop",
        key=arguments.key(args),
        timeout=arguments.seconds(args, "timeout", arguments.MAX_TIMEOUT),
        expires=arguments.seconds(args, "expires", arguments.MAX_EXPIRES),
        cancel=arguments.yes(args, "cancel", False),
        source=source,
    )


ORDERS: Mapping[str, Callable[[Gateway, Args, str], Order]] = {"start": _start, "stop": _stop}


async def order(gateway: Gateway, args: Args, source: str) -> Reply:
    order = ORDERS[str(args["type"])](gateway, args, source)
    wait = arguments.yes(args, "wait", True)
    try:
        return await gateway.orders.submit(order, wait, _reply)
    except DevgateError as err:
        # Here, and not at the door, the fields are known as they were understood.
        return {
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
    except Exception as err:
        raise _fault(err) from err


def _fault(err: Exception) -> DevgateError:
    """A defect of ours met an order: it may have been sent, so nobody may call it refused."""
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


async def cancel(gateway: Gateway, args: Args, source: str) -> Reply:
    id = status.command_id(args)
    command = gateway.dispatcher.live.get(id)
    if command is None or not gateway.dispatcher.cancel(command, "on request"):
        known = command or await status.find(gateway, id)
        assert isinstance(known, Command)
        raise CallerError(
            "409",
            f"command: {id} does not wait any more: {known.message}",
            more={"earlier": known.id, "earlier_outcome": known.outcome},
        )
    await gateway.records.flushed()
    return {**status.told(command), "status": "200", "message": "cancelled; nothing was sent"}


async def refresh(gateway: Gateway, args: Args, source: str) -> Reply:
    count = await gateway.knowledge.refresh()
    await gateway.records.flushed()
    return {
        "status": "200",
        "message": f"{count} changed devices are in force",
        "changed": count,
        "database": gateway.records.database,
    }


async def confirm_loss(gateway: Gateway, args: Args, source: str) -> Reply:
    lost = await gateway.records.confirm_loss()
    log.warning("loss of the database confirmed source=%s lost=%s", source, lost or "nothing")
    message = "nothing was lost, nothing is changed" if lost is None else f"confirmed: {lost}"
    return {"status": "200", "message": message, "lost": lost}


async def trim(gateway: Gateway, args: Args, source: str) -> Reply:
    gateway.trimming.clock.confirm()
    gateway.trimming.tell()
    await gateway.trimming.keep()
    done = await gateway.trimming.once(MAX_ROWS)
    await gateway.records.flushed()
    more = max(done) >= MAX_ROWS
    log.info(
        "trimmed on request events=%s commands=%s keys=%s source=%s",
        done.events, done.commands, done.keys, source,
    )  # fmt: skip
    return {
        "status": "200",
        "message": f"deleted {done.events} events and {done.commands} commands, "
        f"and freed {done.keys} keys" + ("; there are more" if more else ""),
        **done._asdict(),
        "more": more,
    }


async def take_late(gateway: Gateway, args: Args, source: str) -> Reply:
    """Outcomes of a side file, as its lines: a head and commands."""
    lines = args.get("lines")
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        raise CallerError("400", "lines: a list of the file's lines expected")
    try:
        found = parse(lines)
    except ValueError as err:
        raise CallerError("400", f"lines: {err}") from None
    rest = await gateway.late.take(found)
    on_disk = await gateway.records.flushed()
    message = f"{len(found) - len(rest)} outcomes are taken, {len(rest)} do not count"
    if not on_disk:
        message += f"; not on disk yet ({gateway.records.state})"
    return {"status": "200" if on_disk else "503", "message": message, "left": rest}


_LIST = ("after", "limit")
_KEPT = ("id", "name", "site", "phone", "qr", "unit", "ack_timeout", "enabled")  # of a device
_ORDER = ("imei", "key", "timeout", "wait", "expires")

OPERATIONS: Mapping[str, Operation] = {
    "start": Operation("Start a device.", order, (*_ORDER, "long", "unit")),
    "stop": Operation("Stop a device.", order, (*_ORDER, "cancel")),
    "cancel": Operation("Cancel a command that waits.", cancel, ("command",)),
    "refresh": Operation("Put in force what other programs changed of the devices.", refresh),
    "confirm_loss": Operation("Accept starts again after the database lost rows.", confirm_loss),
    "trim": Operation("Trust the clock, and delete what is old enough.", trim),
    "take_late": Operation("Take outcomes of a side file.", take_late, ("lines",)),
    "status": Operation("Tell how the gateway is, or one device.", status.status, ("imei",)),
    "devices": Operation(
        "List devices, or those that are looked for.",
        devices.devices,
        ("q", "site", "online", "running", "enabled", *_LIST),
    ),
    "device": Operation("Show all that is known of one device.", devices.device, ("imei",)),
    "add": Operation("Add a device.", devices.add, ("imei", *_KEPT)),
    "edit": Operation(
        "Change a device: what is given, and nothing else.", devices.edit, ("imei", *_KEPT)
    ),
    "remove": Operation("Forget a device; its history stays.", devices.remove, ("imei",)),
    "import": Operation("Take devices from a CSV text.", devices.take, ("csv", "on_conflict")),
    "export": Operation("Give all devices.", devices.export),
    "command": Operation("Show one command's record.", status.command, ("command",)),
    "history": Operation(
        "List commands, newest first.", status.history, ("imei", "state", "key", *_LIST)
    ),
    "fleet": Operation("Tell how the fleet was over the last day.", reports.whole_fleet),
    "sites": Operation("List the sites and how many devices each has.", reports.sites),
    "day": Operation("Tell one device's day.", reports.day, ("imei", "since")),
    "order": Operation(
        "Tell all that happened to the commands of a key.", reports.order, ("key",)
    ),
    "events": Operation("List events.", events.events, ("imei", "events", *_LIST)),
    "webhooks": Operation("List the receivers of events.", webhooks.webhooks),
    "webhook_add": Operation(
        "Add a receiver of events.",
        webhooks.webhook_add,
        ("name", "url", "events", "secret", "after"),
    ),
    "webhook_edit": Operation(
        "Change, enable or disable a receiver.", webhooks.webhook_edit, ("name", *webhooks.CHANGES)
    ),
    "webhook_remove": Operation(
        "Remove a receiver that was added.", webhooks.webhook_remove, ("name",)
    ),
    "webhook_test": Operation(
        "Post a test event to a receiver.", webhooks.webhook_test, ("name",)
    ),
    "webhook_replay": Operation(
        "Post events to a receiver again.", webhooks.webhook_replay, ("name", "after")
    ),
    "watch": Operation("Follow events.", events.watch, ("imei", "events", "after")),
    "tap": Operation("Follow one device's frames.", events.tap, ("imei", "unregistered")),
}
_TAKES = {name: frozenset(("type", *one.takes)) for name, one in OPERATIONS.items()}


def _must_be_known(name: str, args: Args) -> None:
    """Raises CallerError for a field that the operation does not take: nothing is done then."""
    if not _TAKES[name].issuperset(args):
        known = OPERATIONS[name].takes
        stranger = next(one for one in args if one not in _TAKES[name])
        raise CallerError("400", unknown_field(stranger, known))


async def dispatch(gateway: Gateway, args: Args, source: str) -> Reply | Stream:
    """Run the operation that `args` ask for. The only call that a way in makes.

    Raises DevgateError where nothing was done. Cancelled, a command that was taken
    runs on.
    """
    given = args.get("type")
    operation = OPERATIONS.get(given) if isinstance(given, str) else None
    name, result = str(given) if operation else "unknown", "left"
    try:
        if operation is None:
            raise CallerError(
                "400", f"type: one of {', '.join(OPERATIONS)} expected, not {shown(given)}"
            )
        _must_be_known(name, args)
        answer = await operation.run(gateway, args, source)
        result = "done"
        return answer
    except Exception as err:
        result = "refused" if isinstance(err, DevgateError) else "failed"
        raise
    finally:  # cancelled, its caller has left
        gateway.requests.asks(name, source, result)


def take(gateway: Gateway, args: Args, source: str, then: Callable[[Reply], None]) -> bool:
    """dispatch() without a task, where that can be had: calls back with the reply.

    False: it cannot, nothing was done, and dispatch() is to be called. Raises what that raises.
    For the requests that come by the thousand: a start and its result cost a fifth less.
    """
    given = args.get("type")
    order_of = ORDERS.get(given) if isinstance(given, str) else None
    if order_of is None:
        return False
    name = str(given)

    def told(command: Command) -> None:
        gateway.requests.asks(name, source, "done")
        then(_reply(command))

    try:
        _must_be_known(name, args)
        order, wait = order_of(gateway, args, source), arguments.yes(args, "wait", True)
        return gateway.orders.take(order, wait, told)
    except DevgateError:
        gateway.requests.asks(name, source, "refused")
        raise
    except Exception as err:
        gateway.requests.asks(name, source, "failed")
        raise _fault(err) from err
