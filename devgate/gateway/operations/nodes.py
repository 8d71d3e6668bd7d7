"""Operations on the nodes of a cluster."""

from __future__ import annotations

import logging

from devgate.errors import CallerError
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.model import iso, shown
from devgate.store import node_list
from devgate.store.nodes import Node

log = logging.getLogger("devgate.nodes")


async def nodes(gateway: Gateway, args: Args, source: str) -> Reply:
    """All nodes that were not removed, and which of them leads."""
    _must_be_one(gateway)
    found = await gateway.records.read(node_list.read)
    items = [item(node) for node in found.nodes]
    return {"status": "200", "items": items, "leader": found.leader, "next": None}


def item(node: Node) -> Reply:
    """One node, as the list and `status` show it."""
    return {
        "id": node.id,
        "alive": node.alive,
        "draining": node.draining,
        "address": node.address or None,  # a node that is starting has none
        # The last numbers of a dead node are not true any more.
        "devices": node.devices if node.alive else 0,
        "in_flight": node.in_flight if node.alive else 0,
        "version": node.version,
        "since": iso(node.started_at),
    }


async def node_drain(gateway: Gateway, args: Args, source: str) -> Reply:
    """Drain a node; with `draining` false, take that back."""
    _must_be_one(gateway)
    id = arguments.required(args, "node", "the name of a node")
    draining = arguments.yes(args, "draining", True)
    if not await gateway.records.change(node_list.set_draining, id, draining):
        node = await _known(gateway, id)
        why = "no other node is there to take its devices" if node.alive else "it is dead"
        raise CallerError("409", f"node {id} cannot be drained: {why}")
    log.info("node draining node=%s draining=%s source=%s", id, draining, source)
    return {
        "status": "200",
        "message": f"node {id} is drained from now on" if draining else f"node {id} works on",
        "node": id,
        "draining": draining,
    }


async def node_remove(gateway: Gateway, args: Args, source: str) -> Reply:
    """Forget a node that is dead, and will not come back."""
    _must_be_one(gateway)
    id = arguments.required(args, "node", "the name of a node")
    if not await gateway.records.change(node_list.remove, id):
        await _known(gateway, id)
        raise CallerError("409", f"node {id} lives: stop it first, then remove it")
    log.info("node removed node=%s source=%s", id, source)
    return {"status": "200", "message": f"node {id} is forgotten", "node": id}


def _must_be_one(gateway: Gateway) -> None:
    if gateway.cluster is None:
        raise CallerError(
            "400", "this gateway works alone: it is no node of a cluster ([cluster] node)"
        )


async def _known(gateway: Gateway, id: str) -> Node:
    node = await gateway.records.read(node_list.node, id)
    if node is None:
        raise CallerError("400", f"node: no node is called {shown(id)}")
    return node
