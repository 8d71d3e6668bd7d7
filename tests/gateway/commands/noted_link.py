"""A link that notes what is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devgate.model import Imei
from tests.gateway.wires import FakeLink

if TYPE_CHECKING:
    from tests.gateway.commands.world import World


class NotedLink(FakeLink):
    """Tells the world what goes out."""

    def __init__(self, world: World, imei: Imei, relayed: bool) -> None:
        super().__init__()
        self.world = world
        self.imei = imei
        self.relayed = relayed
        self.conn = world.reference.connects(imei, relayed, self.heard)

    def transmit(self, wire: bytes, why: str | None = None) -> bool:
        if self.world.killed:
            return False
        if not self.whole:
            if self.world.rig.links.get(self.imei) is self:
                self.world.ends(self.imei)
            return False
        super().transmit(wire)
        if wire[3:6] == b"200":
            self.world.acknowledged(self, wire)
        else:
            self.world.goes_out(self, wire)
        return True
