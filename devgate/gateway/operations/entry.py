"""The entry of the operations: the only part of them that ways in call.

The operations are a third of the gateway's code, and no device needs them. So they are not
imported here: a gateway loads them once its doors are open.
"""

from __future__ import annotations

from importlib import import_module

from devgate.gateway.gateway import Gateway
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.ordering import ORDERS as ORDERS
from devgate.gateway.operations.ordering import begin as begin  # dispatch(), for orders
from devgate.gateway.operations.reply import Reply, Stream


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
