"""Orders and other requests on their way from one node to another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devgate.cluster.links import Links
from devgate.errors import StoreError
from devgate.gateway.command import Order
from devgate.gateway.membership import Lost, Unreachable
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply, Stream
from devgate.model import Source


class Hops:
    """The requests of this node to others, over its links."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self.run = links.run

    async def order(self, node: str, order: Order, wait: bool) -> Mapping[str, Any] | None:
        """Hand an order over, and return the reply. None: its device is not at that node any more,
        and nothing was written. Raises Unreachable and Lost."""
        reply = await self._links.ask(node, _request_of(order, wait))
        return None if reply.get("moved") else reply

    async def ask(self, node: str, args: Args, source: str) -> Reply:
        """The reply of that node. Raises as the operation does there, and StoreError (503)."""
        try:
            return await self._links.ask(node, _forward(args, source))
        except Unreachable as err:
            raise StoreError(
                f"the node {node} cannot be reached ({err}); nothing was done"
            ) from None
        except Lost as err:
            raise StoreError(
                f"the node {node} gave no answer ({err}): what came of the request is unknown",
                outcome="unknown",
            ) from None

    async def follow(self, node: str, args: Args, source: str) -> Stream:
        """A stream of that node. Raises what ask() raises."""
        try:
            followed = await self._links.follow(node, _forward(args, source))
        except (Unreachable, Lost) as err:
            raise StoreError(f"the node {node} cannot be reached ({err})") from None
        return Stream(followed.reply, followed)


def _forward(args: Args, source: str) -> dict[str, object]:
    who = Source.of(source)
    more: dict[str, object] = {
        name: value
        for name in ("person", "address", "role", "session")
        if (value := getattr(who, name))
    }
    if who.sites is not None:
        more["sites"] = sorted(who.sites)
    return {
        "type": "forward", "source": who.plain, "command": None, "request": dict(args), **more
    }  # fmt: skip


def _request_of(order: Order, wait: bool) -> dict[str, object]:
    """The request by which another node gets the order."""
    type = "test_start" if order.test else order.type
    request: dict[str, object] = {"type": type, "imei": order.imei, "wait": wait}
    if order.type == "start":
        request["long"] = order.long
        if order.seconds:
            request["unit"] = "seconds"
    elif order.cancel:
        request["cancel"] = True
    for name in ("key", "timeout", "expires"):
        if (value := getattr(order, name)) is not None:
            request[name] = value
    return {**_forward(request, order.source), "command": order.id}
