"""The entry of the operations: what every way in calls, and nothing else.

The operations are a third of the gateway's code, and no device needs them. So they are not
imported here: a gateway loads them once its doors are open.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module

from devgate.errors import CallerError
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations.arguments import Args, unknown
from devgate.gateway.operations.ordering import FIELDS, submit
from devgate.gateway.operations.ordering import ORDERS as ORDERS
from devgate.gateway.operations.reply import Reply, Stream
from devgate.model import Source

_FIELDS = {name: frozenset(("type", *fields)) for name, fields in FIELDS.items()}


def load() -> None:
    """Load what dispatch() needs. For a thread: it takes a tenth of a second."""
    import_module("devgate.gateway.operations.dispatching")


async def dispatch(gateway: Gateway, args: Args, source: str) -> Reply | Stream:
    """Run the operation that `args` ask for. A way in calls only this, or begin().

    Raises DevgateError if nothing was done. If it is cancelled, a command that was taken goes on.
    """
    # A request that comes before it is loaded waits here.
    from devgate.gateway.operations import dispatching

    return await dispatching.dispatch(gateway, args, source)


def begin(
    gateway: Gateway,
    args: Args,
    source: str,
    on_done: Callable[[Reply], None],
    id: str | None = None,
) -> bool:
    """dispatch() without a task, for orders: calls back with the reply. `id` as submit() has it.

    False: it is not an order, nothing was done, and the caller must call dispatch(). Raises what
    dispatch() raises. Orders are the most frequent requests: a start costs a fifth less this way.
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
            raise unknown(args, FIELDS[name])
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
