"""Which connected devices have been claimed by this node: only they take commands."""

from __future__ import annotations

from collections.abc import Container

import trio

from devgate.gateway.devices.connection import Connection
from devgate.gateway.devices.presence import Presence
from devgate.model import Imei


class Claimed:
    """What a dispatcher sees of the connected devices (`commands.device_commands.Connected`).

    A registration is answered at once; the claim of the device is in the next commit, and no
    command goes out before that was confirmed.
    """

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._generations: dict[Imei, int] = {}
        self._waiting: dict[Imei, trio.Event] = {}  # set when a claim is settled

    def __len__(self) -> int:
        return len(self._generations)

    @property
    def taken_over(self) -> Container[Imei]:
        """The devices of which contested() may be true."""
        return self._presence.taken_over

    def contested(self, imei: Imei) -> bool:
        """Whether starts are refused, for two connections compete for the IMEI."""
        return self._presence.contested(imei)

    def from_new_address(self, imei: Imei) -> bool:
        """The device answers a command. Whether its last answer came from another address."""
        return self._presence.from_new_address(imei)

    def get(self, imei: Imei, /) -> Connection | None:
        """The connection that commands for the device go out on, if there is one."""
        connection = self._presence.get(imei)
        if connection is None or self._generations.get(imei) != connection.generation:
            return None
        return connection

    def generation(self, imei: Imei) -> int | None:
        """The generation of the connection that get() returns."""
        connection = self.get(imei)
        return None if connection is None else connection.generation

    def again(self, imei: Imei) -> None:
        """Claim the device again: another node has or had it, and the later registration wins."""
        if self.get(imei) is not None:
            self._presence.claim(imei)

    def waits(self, imei: Imei) -> bool:
        """Whether the device is connected here, and its claim is not confirmed yet."""
        return self._presence.get(imei) is not None and self.get(imei) is None

    async def settled(self, imei: Imei) -> None:
        """Return once no claim of the device waits to be confirmed."""
        while self.waits(imei):
            await self._waiting.setdefault(imei, trio.Event()).wait()

    def _settle(self, imei: Imei) -> None:
        if (event := self._waiting.pop(imei, None)) is not None:
            event.set()

    def won(self, imei: Imei, generation: int) -> bool:
        """The claim of this connection was confirmed. False: the connection is over."""
        connection = self._presence.get(imei)
        here = connection is not None and connection.generation == generation
        if here:
            self._generations[imei] = generation
        self._settle(imei)
        return here

    def gone(self, imei: Imei, generation: int) -> bool:
        """The device is another node's. True if this connection spoke for it until now."""
        if self._generations.get(imei) == generation:
            del self._generations[imei]
        self._settle(imei)
        connection = self._presence.get(imei)
        return connection is not None and connection.generation == generation

    def prune(self) -> None:
        """Forget devices that are not connected any more."""
        for imei in [one for one in self._generations if self._presence.get(one) is None]:
            del self._generations[imei]
