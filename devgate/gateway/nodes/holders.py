"""Which other node has a device: remembered from the last order, or looked up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from devgate.gateway.nodes.lookups import Lookups
from devgate.model import Imei

MAX_HINTS = 100_000  # devices of other nodes that are remembered: about 15 MB

# Finds the living nodes that have these devices, by IMEI: name and incarnation.
Read = Callable[[Sequence[str]], Awaitable[Mapping[str, tuple[str, int]]]]


class Holders:
    """A wrong hint costs a hop, because the node that is asked says so. A hint is removed when it
    is used, and added again when it was right."""

    def __init__(self, read: Read, soon: Callable[[Callable[[], Awaitable[None]]], bool]) -> None:
        """`soon`: as for Lookups."""
        self._lookups: Lookups[tuple[str, int]] = Lookups(read, soon)
        self._hints: dict[Imei, str] = {}

    def hint(self, imei: Imei) -> str | None:
        """The node that had the device a while ago. The hint is removed."""
        return self._hints.pop(imei, None)

    def note(self, imei: Imei, node: str) -> None:
        """That node has the device."""
        self._hints[imei] = node
        if len(self._hints) > MAX_HINTS:
            del self._hints[next(iter(self._hints))]

    async def find(self, imei: Imei) -> str | None:
        """The living node that has the device by the database. Raises StoreError."""
        found = await self._lookups.get(imei)
        return None if found is None else found[0]
