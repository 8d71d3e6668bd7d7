"""Public addresses: webhooks connect to no others (connecting.py)."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# IPv6 networks whose addresses carry an IPv4 address, with the place of its last bit.
CARRIERS = (
    (ipaddress.IPv6Network("::/96"), 0),  # "compatible", long out of use
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # mapped
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4
)
# Not public, also if a version of Python says so.
NEVER = (
    ipaddress.IPv6Network("64:ff9b:1::/48"),  # NAT64 within a network
    ipaddress.IPv6Network("2001::/32"),  # Teredo: a tunnel to anywhere
)


# Looks public and is not: in Azure it is the host of each machine, with data for its guests.
HOSTS = frozenset({ipaddress.IPv4Address("168.63.129.16")})

PERMIT = "allow_private = true"  # what lets a [[webhook]] post to other addresses


def is_public(address: Address) -> bool:
    """True if anybody on the internet may talk to this address."""
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in NEVER):
            return False
        for network, shift in CARRIERS:
            if address in network:
                return is_public(ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF))
        if address.is_site_local:
            return False
    return (
        address not in HOSTS
        and address.is_global
        and not (address.is_multicast or address.is_reserved or address.is_unspecified)
    )


def not_public(what: str, permit: str) -> str:
    """A sentence on an address that is not, and what to do."""
    return f"{what} is not a public address; set {permit} to post to it anyway"


def literal(url: str) -> str | None:
    """The host of a URL, if it is written as an address that is not public."""
    host = urlsplit(url).hostname or ""
    try:
        return None if is_public(ipaddress.ip_address(host.split("%")[0])) else host
    except ValueError:
        return host if host == "localhost" else None
