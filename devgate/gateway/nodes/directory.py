"""Known devices at a node: those that are connected to it, and some that it needed recently."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from devgate.gateway.known.directory import Directory
from devgate.model import Imei
from devgate.store.device import Device

MAX_RECENT = 100_000  # devices besides those that are connected here: about 16 MB
MAX_EXAMINED = 8  # of the oldest ones, for each that is added


class NodeDirectory(Directory):
    """A directory with a bound: devices of other nodes are not in memory.

    A device that is connected here is always in it. Another one must be looked up before it is
    asked for (`NodeKnowledge.learn`).
    """

    def __init__(
        self,
        phone: str = "",
        qr: str = "",
        *,
        connected: Callable[[Imei], object],
        connections: Callable[[], int],
    ) -> None:
        """`connected` says whether a device is connected here (None: it is not), and `connections`
        how many are."""
        super().__init__(phone, qr)
        self._connected = connected
        self._connections = connections
        self.known_count = 0  # devices in the database
        # In the order in which they came; one that was removed is passed over when its turn comes.
        self._order: deque[Imei] = deque()

    def __len__(self) -> int:
        """How many devices the fleet has, as they were counted last."""
        return self.known_count

    def holds(self, imei: str) -> bool:
        """Whether the device is in memory. It may be known if not."""
        return imei in self._devices

    @property
    def held(self) -> int:
        """How many are in memory."""
        return len(self._devices)

    def put(self, device: Device) -> None:
        """As Directory.put(). If there are too many, the one that was added longest ago and is not
        connected is removed."""
        new = device.imei not in self._devices
        super().put(device)
        if not new:
            return
        self._order.append(device.imei)
        for _ in range(MAX_EXAMINED):
            if len(self._order) <= self._connections() + MAX_RECENT:
                return
            oldest = self._order.popleft()
            if self._connected(oldest) is not None:
                self._order.append(oldest)
            else:
                self.remove(oldest)
