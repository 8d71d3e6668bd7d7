"""The way into the operations: what every way in calls, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from devgate.access.tokens import NEEDS
from devgate.errors import CallerError, DevgateError
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import audit, sites
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.ordering import ORDERS as ORDERS
from devgate.gateway.operations.ordering import submit
from devgate.gateway.operations.reply import Reply, Stream
from devgate.gateway.operations.table import OPERATIONS
from devgate.model import Source, shown, unknown_field

# Changes that have no event of their own: the audit hears of them all the same.
_TELLS = frozenset(OPERATIONS) - audit.OWN - {
    name for name, role in NEEDS.items() if role == "read"
}  # fmt: skip
_FIELDS = {name: frozenset(("type", *one.fields)) for name, one in OPERATIONS.items()}


def _unknown_field(name: str, args: Args) -> CallerError:
    """For a request with a field that the operation does not take: nothing is done then."""
    unknown = next(one for one in args if one not in _FIELDS[name])
    return CallerError("400", unknown_field(unknown, OPERATIONS[name].fields))


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
        if not _FIELDS[name].issuperset(args):
            raise _unknown_field(name, args)
        who = Source.of(source)
        recorded: str = who if operation.whole else who.plain
        if who.sites is None:
            answer = await operation.run(gateway, args, recorded)
        else:
            run = operation.run
            answer = await sites.ask(
                gateway, name, args, who, lambda given: run(gateway, given, recorded)
            )
        result = "done"
        if name in _TELLS:
            audit.tell(gateway, name, args, who)
        return answer
    except Exception as err:
        result = "refused" if isinstance(err, DevgateError) else "failed"
        raise
    finally:  # cancelled, its caller has left
        gateway.requests.asked[name, str(source), result] += 1


def begin(
    gateway: Gateway,
    args: Args,
    source: str,
    on_done: Callable[[Reply], None],
    id: str | None = None,
) -> bool:
    """dispatch() without a task, for orders: calls back with the reply. `id` as submit() has it.

    False: it is no order, nothing was done, and dispatch() is to be called. Raises what that
    raises. For the requests that come by the thousand: a start and its result cost a fifth less.
    """
    name = args.get("type")
    if not isinstance(name, str) or name not in ORDERS:
        return False
    if isinstance(source, Source):
        if source.sites is not None:
            return False  # where the device stands is looked at first
        source = source.plain
    try:
        if not _FIELDS[name].issuperset(args):
            raise _unknown_field(name, args)
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
