"""Keys at a node: another one may have spent any of them, so that each is looked up."""

from __future__ import annotations

from devgate.gateway.commands.keys import Keys
from devgate.gateway.commands.orders import Orders


class NodeKeys(Keys):
    """Knows of no key that it is new. The index over all nodes decides when a row is written."""

    def spend(self, key: str) -> None:
        """Nothing is noted: other nodes spend keys, too."""

    def is_new(self, key: str) -> bool:
        """As Keys.is_new(): never certain, since other nodes spend keys too."""
        return False

    async def prepare(self) -> None:
        """There is nothing to make room for."""

    async def load(self) -> None:
        """There is nothing to read."""
        self.ready = True


class NodeOrders(Orders):
    """Looks keys up without a commit before: what this node has under way it knows, and what
    another one spends at this moment is found when the row is written."""

    async def _flushed(self) -> bool:
        return True
