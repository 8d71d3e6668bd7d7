"""`devgate nodes`: list, drain and remove the nodes of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from devgate.cli.asking import answer
from devgate.cli.describe import ago
from devgate.cli.help import Group
from devgate.cli.language import said
from devgate.cli.output import YES, Where, certain, common, options, table

ONE = click.argument("node")
HEADER = ("NODE", "STATE", "DEVICES", "IN FLIGHT", "ADDRESS", "VERSION", "SINCE")


@click.group(cls=Group)
@options
def nodes() -> None:
    """Manage the nodes of a cluster: several gateways that are one fleet.

    Any node that runs can be asked. A gateway that works alone has none.

    \b
    Examples:
      devgate nodes list
      devgate nodes drain a        # before its machine is serviced
      devgate nodes remove a
    """


@nodes.command("list")
@common
def list_(where: Where) -> None:
    """List the nodes: which of them live, and how much each has to do.

    STATE is `alive`, `draining` or `dead`, and for one of them `leads`: that one posts to
    webhooks, deletes what is old and raises alerts. SINCE is when the node was started last.

    \b
    Example:
      devgate nodes list --json | jq '.items[] | select(.alive | not) | .id'
    """
    answer(where, {"type": "nodes"}, _listed)


@nodes.command()
@ONE
@click.option("--undo", is_flag=True, help="Take it back: the node works on.")
@common
def drain(where: Where, node: str, undo: bool) -> None:
    """Drain NODE: it asks nothing more of devices, and they go to the other nodes.

    Its connections are closed bit by bit, and commands that wait are handed over. When the list
    shows no device for it, it can be stopped without a caller noticing. A start of NODE ends the
    draining, and so does --undo. The last node that is not drained cannot be.

    \b
    Examples:
      devgate nodes drain a
      devgate nodes drain a --undo
    """
    answer(where, {"type": "node_drain", "node": node, "draining": not undo})


@nodes.command()
@ONE
@YES
@common
def remove(where: Where, node: str, yes: bool) -> None:
    """Forget NODE, which is dead and will not come back.

    It is no longer in the list. Nothing else depends on that: what it had under way was settled
    when it died, and a node of that name that is started again is there again.

    \b
    Example:
      devgate nodes remove a --yes
    """
    certain(f"Forget the node {node}?", yes)
    answer(where, {"type": "node_remove", "node": node})


def _listed(reply: Mapping[str, Any]) -> str:
    leader = reply.get("leader")
    return table(HEADER, [_row(node, leader) for node in reply.get("items") or ()])


def _row(node: Mapping[str, Any], leader: object) -> list[object]:
    state = said("dead")
    if node.get("alive"):
        state = said("draining" if node.get("draining") else "alive")
        state += said(", leads") if node.get("id") == leader else ""
    return [
        node.get("id"), state, node.get("devices"), node.get("in_flight"), node.get("address"),
        node.get("version"), ago(node.get("since")),
    ]  # fmt: skip
