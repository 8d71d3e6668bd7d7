"""The table [cluster]."""

from __future__ import annotations

from typing import Annotated

from devgate.config.addresses import ADVERTISE, addresses
from devgate.config.kinds import NODE, YES_OR_NO
from devgate.config.table import Table, setting
from devgate.config.tls import TlsSettings


class ClusterSettings(Table):
    """Several gateways with one fleet and one PostgreSQL."""

    node: Annotated[str, NODE] = setting(
        "", "This gateway's name among the nodes of a cluster; nothing: it works alone.",
        restart=True,
    )  # fmt: skip
    listen: Annotated[list[str], addresses(required=False)] = setting(
        "",
        "Addresses for the other nodes; nothing: a free port where PostgreSQL is reached from.",
        restart=True,
    )
    advertise: Annotated[str, ADVERTISE] = setting(
        "", "HOST:PORT at which the other nodes reach this one; nothing: the first of listen.",
        restart=True,
    )  # fmt: skip
    share_ports: Annotated[bool, YES_OR_NO] = setting(
        False,
        "Other processes of this machine listen at the same addresses: SO_REUSEPORT.",
        restart=True,
    )
    plain: Annotated[bool, YES_OR_NO] = setting(
        False, "The nodes' network is private: plain text off loopback is meant.", restart=True
    )
    tls: TlsSettings | None = setting(None, "TLS between the nodes.", restart=True)
