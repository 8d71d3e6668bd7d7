"""What /metrics says of the nodes of a cluster, as this one saw them last.

Every node says the same of all nodes, half a second apart: a fleet's numbers are the maximum
over its nodes, not the sum. A gateway that works alone has the names and no samples.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from devgate.gateway.membership import Membership

PREFIX = "devgate_"

NODE_GAUGES = {
    "node_alive": "1: the node lives. 0: it is dead or was stopped.",
    "node_draining": "1: an operator wants its devices at other nodes.",
    "node_devices": "Devices that are connected to the node.",
    "node_in_flight": "Commands that the node has sent, without a result yet.",
}


def gathered(cluster: Membership | None) -> Iterator[Metric]:
    """The families of nodes. Call it on the loop."""
    count = GaugeMetricFamily(PREFIX + "nodes", "Nodes that live.")
    leads = GaugeMetricFamily(
        PREFIX + "node_leads",
        "1: this node leads: it posts to webhooks, deletes what is old and raises alerts.",
    )
    of_each = {
        name: GaugeMetricFamily(PREFIX + name, text, labels=("node",))
        for name, text in NODE_GAUGES.items()
    }
    if cluster is not None:
        count.add_metric([], sum(node.alive for node in cluster.nodes))
        leads.add_metric([], cluster.leads)
        for node in cluster.nodes:  # a dead one has nothing, whatever it said last
            for name, value in (
                ("node_alive", node.alive),
                ("node_draining", node.alive and node.draining),
                ("node_devices", node.devices if node.alive else 0),
                ("node_in_flight", node.in_flight if node.alive else 0),
            ):
                of_each[name].add_metric([node.id], value)
    yield count
    yield leads
    yield from of_each.values()
