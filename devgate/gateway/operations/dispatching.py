"""Carries out requests by the table of operations. `entry` says when this is loaded."""

from __future__ import annotations

from devgate.access.tokens import NEEDS
from devgate.errors import CallerError, DevgateError
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import audit, sites
from devgate.gateway.operations.arguments import Args, expected, unknown
from devgate.gateway.operations.reply import Reply, Stream
from devgate.gateway.operations.table import OPERATIONS
from devgate.model import Source, nearest, shown

# Changes that write no event themselves: they get an event `operation.done`.
_TELLS = frozenset(OPERATIONS) - audit.WITH_OWN_EVENT - {
    name for name, role in NEEDS.items() if role == "read"
}  # fmt: skip
_FIELDS = {name: frozenset(("type", *one.fields)) for name, one in OPERATIONS.items()}


def _unknown_type(given: object) -> CallerError:
    """The operation that was probably meant, or all of them."""
    near = nearest(given, OPERATIONS) if isinstance(given, str) else None
    if near:
        return CallerError(
            "400", f"type: no operation is called {shown(given)}; did you mean {near}?"
        )
    return expected("type", f"one of {', '.join(OPERATIONS)}", given)


async def dispatch(gateway: Gateway, args: Args, source: str) -> Reply | Stream:
    """As `entry.dispatch`."""
    given = args.get("type")
    operation = OPERATIONS.get(given) if isinstance(given, str) else None
    name, result = str(given) if operation else "unknown", "left"
    try:
        if operation is None:
            raise _unknown_type(given)
        if not _FIELDS[name].issuperset(args):
            raise unknown(args, operation.fields)
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
    finally:  # "left": it was cancelled, because its caller is gone
        gateway.requests.asked[name, str(source), result] += 1
