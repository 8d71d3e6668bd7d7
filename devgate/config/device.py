"""The table [device]."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import model_validator

from devgate.config.addresses import addresses, loopback, networks
from devgate.config.kinds import DAY, MIN_SECONDS, YES_OR_NO, Misfit, one_of, seconds, whole
from devgate.config.table import Table, setting
from devgate.config.tls import TlsSettings

MAX_CONNECTIONS = 10_000_000  # connections: more than a kernel gives one process


class FlappingSettings(Table):
    """When takeovers of one IMEI are reported as flapping."""

    takeovers: Annotated[int, whole(1, 10_000)] = setting(5, "This many takeovers of one IMEI ...")
    within: Annotated[float, seconds(MIN_SECONDS, DAY)] = setting(60, "... within this time.")
    starts: Annotated[Literal["refuse", "send"], one_of("refuse", "send")] = setting(
        "refuse", "What becomes of starts meanwhile: 423, or they are sent to whoever came last."
    )


class DeviceSettings(Table):
    """The door for devices."""

    listen: Annotated[list[str], addresses(required=True)] = setting(
        "0.0.0.0:12306", 'Addresses for devices; "[::]:12306" for IPv6.', restart=True
    )
    idle_timeout: Annotated[float, seconds(MIN_SECONDS, 7 * DAY)] = setting(
        180, "Silence after which a connection is closed."
    )
    register_timeout: Annotated[float, seconds(MIN_SECONDS, DAY)] = setting(
        120, "How long a connection may go without a good registration."
    )
    partial_timeout: Annotated[float, seconds(MIN_SECONDS, 3600)] = setting(
        10, "How long half a frame waits for its rest."
    )
    heartbeat_grace: Annotated[float, seconds(0, 60)] = setting(
        0.5, "How long a heartbeat before registration that could start a frame waits for 006404."
    )
    max_connections: Annotated[int, whole(0, MAX_CONNECTIONS)] = setting(
        0, "Most connections at once; 0: what the file-descriptor limit allows."
    )
    max_connections_per_address: Annotated[int, whole(0, MAX_CONNECTIONS)] = setting(
        0, "Most connections from one address; 0: any number."
    )
    max_malformed: Annotated[int, whole(1, 1_000_000)] = setting(
        20, "Malformed input in a row after which a connection is closed."
    )
    max_outbox: Annotated[int, whole(1024, 64 * 1024 * 1024)] = setting(
        65536, "Bytes that may wait for a device that does not read."
    )
    registration: Annotated[Literal["listed", "approve"], one_of("listed", "approve")] = setting(
        "listed",
        "Which devices may register: those that an admin has added, or also those that tried, "
        "once the role command has approved them.",
    )
    flapping: FlappingSettings = setting({}, "When two devices with one IMEI are reported.")
    proxy_protocol: Annotated[bool, YES_OR_NO] = setting(
        False, "A load balancer in front sends PROXY v1 or v2.", restart=True
    )
    proxy_from: Annotated[list[str], networks()] = setting(
        [], "Whose PROXY header is believed; nothing: this machine's own.", restart=True
    )
    tls: TlsSettings | None = setting(None, "TLS for devices.", restart=True)

    @model_validator(mode="after")
    def _headers_need_a_sender(self) -> DeviceSettings:
        far = [address for address in self.listen if not loopback(address)]
        if self.proxy_protocol and not self.proxy_from and far:
            raise Misfit(
                f"the addresses of the load balancers expected, for devices connect to {far[0]}: "
                "without them only PROXY headers from this machine are believed",
                "proxy_from",
                "proxy_protocol",
            )
        return self
