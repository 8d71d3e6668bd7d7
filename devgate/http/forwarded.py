"""The address of the client of a request that has come through proxies.

A proxy appends to X-Forwarded-For the address that it saw. What stands in front of that was
written by somebody else, so the list is read from its end, and only as far as we know the proxies.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
MAX_HOPS = 16  # proxies in a row that are looked at


class Proxies:
    """The addresses and networks of [http] proxies."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def trusts(self, address: str) -> bool:
        """Whether a proxy of ours has this address, which is an IP address without a port."""
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def client(self, peer: str, forwarded: Sequence[str]) -> str:
        """The right-most address that is no proxy of ours.

        `peer` is the connection's own address, `forwarded` the values of all X-Forwarded-For
        headers in their order.
        """
        known = peer
        if not self.trusts(peer):
            return known
        hops = ",".join(forwarded).rsplit(",", MAX_HOPS)[-MAX_HOPS:]
        for hop in reversed(hops):
            address = _parsed(hop.strip())
            if address is None:
                break
            known = str(address)
            if not self.trusts(known):
                break
        return known


def _parsed(text: str) -> Address | None:
    """`203.0.113.9`, `203.0.113.9:4711`, `2001:db8::1`, `[2001:db8::1]:4711`; None for others."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
