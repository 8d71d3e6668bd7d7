"""Decides which node carries out an operation: the asked one, the device's, or the leader."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, BinaryIO, cast

import trio

from devgate.cluster.hops import Hops
from devgate.errors import CallerError, StoreError
from devgate.gateway.gateway import Gateway
from devgate.gateway.nodes.node import ClusterNode
from devgate.gateway.operations import arguments, importing
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply, Stream
from devgate.store import history, nodes

# Operations that need the device's connection, which only its node has.
AT_DEVICE = frozenset({"tap", "status", "device"})
LOOKS = frozenset({"status", "device"})
# Operations that one node does for all, and changes of devices, whose event must be written once.
AT_LEADER = frozenset({
    "add", "edit", "remove", "import", "upload", "trim", "webhooks", "webhook_add", "webhook_edit",
    "webhook_remove", "webhook_test", "webhook_replay", "bulk", "bulks", "bulk_start",
    "bulk_stop", "bulk_edit", "bulk_maintenance", "bulk_cancel", "alert_rule_add",
    "alert_rule_edit",
    "alert_rule_remove", "alert_receivers", "alert_receiver_add", "alert_receiver_edit",
    "alert_receiver_remove", "alert_receiver_test",
})  # fmt: skip

LEADER_SECONDS = 3.0  # for another node to lead after the one that did, or the first one to begin
LEADER_LOOK_SECONDS = 0.2

Here = Callable[[Args, str], Awaitable[Any]]


class Forwarding:
    """Hands requests to other nodes, except requests that came from another node."""

    def __init__(self, gateway: Gateway, node: ClusterNode, hops: Hops) -> None:
        self._gateway = gateway
        self._node = node
        self._hops = hops

    async def dispatch(self, here: Here, args: Args, source: str) -> Reply | Stream:
        """Run the operation where it belongs. Raises what `here` raises, and StoreError (503) if
        that node cannot be reached: nothing was done then, or nobody knows."""
        place = await self._place(args)
        if place is None or place == self._node.node:
            found: Reply | Stream = await here(args, source)
            return found
        if args.get("type") == "tap":
            return await self._hops.follow(place, args, source)
        try:
            if args.get("type") == "import":
                args = await self._handed_over(place, args, source)
            reply = await self._hops.ask(place, args, source)
        except StoreError:
            if args.get("type") not in LOOKS:
                raise
            # The state in the database is better than nothing while that node does not answer. The
            # type of `here` includes streams; these operations have none.
            return await here(args, source)  # type: ignore[no-any-return]
        if args.get("type") in AT_LEADER:
            with suppress(StoreError):  # the change is done, and this node sees it within a second
                await self._gateway.knowledge.refresh()
        return reply

    async def _handed_over(self, place: str, args: Args, source: str) -> Args:
        """Upload the file of an import to the other node. Returns the arguments for it there."""
        file, id = args.get("csv"), None
        if file is None or isinstance(file, str):
            return args
        parts = importing.parts(cast("BinaryIO", file))
        while (data := await trio.to_thread.run_sync(next, parts, None)) is not None:
            part = {"type": "upload", "data": data} | ({} if id is None else {"upload": id})
            id = (await self._hops.ask(place, part, source))["upload"]
        if id is None:
            return {**args, "csv": ""}
        return {name: value for name, value in args.items() if name != "csv"} | {"upload": id}

    async def _leader(self) -> str | None:
        """The node that leads; None: this one. Raises StoreError if none does for a while."""
        until = trio.current_time() + LEADER_SECONDS
        while True:
            leader: str | None = await self._gateway.records.read(nodes.leader)
            # The address of a node that has just started may not be known here yet.
            if leader == self._node.node or (leader is not None and self._node.address(leader)):
                return leader
            if leader is None and self._node.leadership.held:
                return None
            if trio.current_time() > until:
                raise StoreError("no node leads the cluster at the moment; ask again")
            await trio.sleep(LEADER_LOOK_SECONDS)

    async def _place(self, args: Args) -> str | None:
        """The node for this request; None: this one, which says what is wrong with the request."""
        type = args.get("type")
        if not isinstance(type, str):
            return None
        if type in AT_LEADER:
            return await self._leader()
        try:
            id = arguments.text(args, "command") if type == "cancel" else None
            imei = arguments.maybe_device(args) if type in AT_DEVICE else None
        except CallerError:
            return None
        if id is not None:
            row = await self._gateway.records.read(history.by_id, id)
            return None if row is None else self._node.name(row["incarnation"] or 0)
        if imei is not None and self._gateway.presence.get(imei) is None:
            found = await self._gateway.records.read(nodes.holder, imei)
            return None if found is None else found[0]
        return None
