"""Numbers and lists of the whole fleet: from this gateway's memory, or from all nodes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from devgate.gateway.clock import time
from devgate.gateway.gateway import Gateway
from devgate.model import Imei
from devgate.store import alert_looks, node_list, own_sites
from devgate.store.own_sites import Now

NO_LIMIT = 2**31 - 1  # more devices than there are


async def online(gateway: Gateway) -> Collection[str]:
    """The IMEIs of devices that are connected. Raises StoreError at a node."""
    if gateway.cluster is None:
        return gateway.presence.imeis()
    return await gateway.records.read(node_list.online)


async def online_among(gateway: Gateway, imeis: Collection[str]) -> set[str]:
    """Those of these devices that are connected: some thousands are asked for, at most. Raises
    StoreError at a node."""
    if gateway.cluster is None:
        return {imei for imei in imeis if gateway.presence.get(Imei(imei)) is not None}
    return await gateway.records.read(alert_looks.online_among, imeis) if imeis else set()


async def running(gateway: Gateway) -> Collection[str]:
    """The IMEIs of devices that run. Raises StoreError at a node."""
    if gateway.cluster is None:
        return gateway.running.imeis()
    return await gateway.records.read(node_list.running, time(), NO_LIMIT)


async def running_few(gateway: Gateway, limit: int) -> Collection[str] | None:
    """The IMEIs of devices that run, if they are at most `limit`; None if there are more.

    Raises StoreError at a node.
    """
    if gateway.cluster is None:
        return gateway.running.few(limit)
    found = await gateway.records.read(node_list.running, time(), limit + 1)
    return found if len(found) <= limit else None


def counts(gateway: Gateway) -> tuple[int, int, int]:
    """How many devices are online, how many run, and how many commands are in flight. Other nodes
    have reported theirs half a second ago."""
    found = [
        len(gateway.presence), len(gateway.running.imeis()), gateway.dispatcher.in_flight
    ]  # fmt: skip
    if gateway.cluster is not None:
        for node in gateway.cluster.nodes:
            if node.alive and node.incarnation != gateway.cluster.incarnation:
                for place, count in enumerate((node.devices, node.running, node.in_flight)):
                    found[place] += count
    return found[0], found[1], found[2]


async def now(gateway: Gateway, sites: Collection[str] | None = None) -> Now:
    """How the fleet is at this moment, or the devices of these sites. Raises StoreError."""
    if sites is not None:
        await gateway.records.flushed()
        return await gateway.records.read(own_sites.now, sites, time())
    return Now(len(gateway.directory), *counts(gateway), gateway.dispatcher.waiting)


def elsewhere(gateway: Gateway, row: Mapping[str, Any] | None) -> bool:
    """Whether this row of `presence` says that the device is connected to another node."""
    cluster = gateway.cluster
    if cluster is None or row is None or not row["online"]:
        return False
    return any(one.alive and one.incarnation == row["incarnation"] for one in cluster.nodes)
