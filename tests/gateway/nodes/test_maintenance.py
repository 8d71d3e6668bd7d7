"""Maintenance at a node: known from the database, whichever node got the request."""

from __future__ import annotations

from devgate.cluster.hops import _request_of
from devgate.gateway.command import Order
from devgate.store import devices, maintenance
from devgate.store.device import Device
from tests.gateway.nodes.rig import Node
from tests.gateway.rig import X


async def test_another_node_has_begun_it(node: Node) -> None:
    with node.database.write() as conn:
        devices.add(conn, Device(X, 16, site="north"))
    async with node.lives():
        await node.gateway.knowledge.load()
        node.gateway.directory.put(Device(X, 16, site="north"))
        node.registers()
        await node.until(lambda: node.claimed.get(X))
        for kind, name in ((maintenance.IMEI, X), (maintenance.SITE, "north")):
            with node.database.write() as conn:
                maintenance.begin(conn, kind, [name], "", None, "http:shop", 1.0)
            await node.gateway.knowledge._look()
            refused = await node.ordered(key="order-1")
            assert (refused.status, refused.why) == ("423", "maintenance")
            with node.database.write() as conn:
                maintenance.end(conn, kind, [name], 2.0)
            await node.gateway.knowledge._look()
        started = await node.ordered(key="order-1")
        assert (started.status, started.why) == ("000", None)
        tested = await node.ordered(test=True)
        assert (tested.status, tested.why) == ("000", "test")


def test_a_test_is_handed_over_as_one() -> None:
    request = _request_of(Order(X, "start", 5, id="1", test=True), True)["request"]
    assert request == {"type": "test_start", "imei": X, "wait": True, "long": 5}
