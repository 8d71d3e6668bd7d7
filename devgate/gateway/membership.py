"""What a node of a cluster knows about the cluster, and how it asks other nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from devgate.store.nodes import Node

Reply = dict[str, object]


class Unreachable(Exception):
    """The request never reached the other node: nothing was done there."""


class Lost(Exception):
    """The request went out and no answer came: what became of it there is unknown."""


class Membership(Protocol):
    """This node, as long as it is one."""

    @property
    def node(self) -> str:
        """Its name: `[cluster] node`."""

    @property
    def incarnation(self) -> int:
        """Another one at each start, and each time that it was declared dead."""

    @property
    def leads(self) -> bool:
        """It does what one node does for all."""

    @property
    def draining(self) -> bool:
        """An operator wants its devices at other nodes."""

    @property
    def nodes(self) -> Sequence[Node]:
        """All nodes as they were seen last: half a second ago, or before the database went."""
