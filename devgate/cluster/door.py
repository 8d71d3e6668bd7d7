"""The door for requests of the other nodes of the cluster."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from typing import NamedTuple

from devgate.cluster.link import MAX_OUTSTANDING
from devgate.control.limits import Limits
from devgate.control.server import ControlServer
from devgate.control.streams import Begin, Dispatch, Functions
from devgate.gateway.refusals import Refusals

MAX_TOKEN = 300  # characters; nothing longer is worth comparing
MAX_CONNECTIONS = 1024  # of all nodes: one link for each, and their streams
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


class PeerNode(NamedTuple):
    """Another node, as it calls itself."""

    name: str
    role: str = "node"
    sites: frozenset[str] | None = None

    def may(self, operation: object) -> bool:
        """Always true: the node has checked its own callers."""
        return True


class Secret:
    """Lets in who has the cluster's secret (`control.caller.Access`)."""

    def __init__(self, secret: Callable[[], str]) -> None:
        self._secret = secret

    def check(self, secret: object) -> PeerNode | None:
        """The node whose token this is, "NAME:SECRET", or None. Takes the same time for all."""
        if not isinstance(secret, str) or len(secret) > MAX_TOKEN:
            return None
        name, _, shown = secret.partition(":")
        wanted = self._secret().encode()
        same = hmac.compare_digest(shown.encode("utf-8", "surrogatepass"), wanted)
        # The secret is empty until the first node has made it: then no token is accepted.
        return PeerNode(name) if same and wanted and _NODE.fullmatch(name) else None


def door(
    dispatch: Dispatch,
    begin: Begin,
    secret: Callable[[], str],
    *,
    refusals: Refusals | None = None,
) -> ControlServer:
    """A server for other nodes alone; `serve_tcp` opens it. The source is "node:NAME".

    `dispatch` and `begin` are those of `operations.forwarding`.
    """
    return ControlServer(
        Functions(dispatch, begin),
        access=Secret(secret),
        max_tcp=MAX_CONNECTIONS,
        limits=Limits(outstanding=MAX_OUTSTANDING + 1),  # a ping is always read
        refusals=refusals,
        door="cluster",
        way="node",
    )
