"""Every key of gateway.toml: its type, its default as one writes it, and what it is for.

Durations are float seconds, listen addresses lists of "HOST:PORT". Values that are built
here without `config.load` keep their relative paths.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import PrivateAttr, model_validator

from devgate.config.addresses import addresses, loopback
from devgate.config.cluster import ClusterSettings
from devgate.config.device import DeviceSettings
from devgate.config.http import HttpSettings as HttpSettings
from devgate.config.kinds import (
    DAY,
    MIN_SECONDS,
    MODE,
    PATTERN,
    SOCKET,
    TEXT,
    YEARS,
    YES_OR_NO,
    Misfit,
    one_of,
    path,
    seconds,
    whole,
)
from devgate.config.report import ReportSettings
from devgate.config.store import StoreSettings
from devgate.config.table import Table, setting
from devgate.config.tls import TlsSettings
from devgate.config.webhook import WebhookSettings, once_each


class ServiceSettings(Table):
    """The texts for every device without its own."""

    phone: Annotated[str, TEXT] = setting(
        "400-500-5620", "The service telephone, the answer to TN."
    )
    qr: Annotated[str, PATTERN] = setting(
        "http://csgxjk.com/qrcode/dev/{id}", "The QR code's text; {id} and {imei} are filled in."
    )


class ControlSettings(Table):
    """The door for the CLI and web applications."""

    socket: Annotated[str, SOCKET] = setting("run/devgate.sock", "The Unix socket.", restart=True)
    mode: Annotated[int, MODE] = setting(
        "0660", "The socket's mode: who may open it.", restart=True
    )
    role: Annotated[Literal["read", "command", "admin"], one_of("read", "command", "admin")] = (
        setting(
            "command", "What they may do, but for root and the gateway's user, who may do all."
        )
    )
    listen: Annotated[list[str], addresses(required=False)] = setting(
        "", "TCP addresses for a web application on another machine.", restart=True
    )
    tokens: Annotated[str, path(optional=True)] = setting(
        "", "File of hashed tokens, for TCP and HTTP."
    )
    private_webhooks: Annotated[bool, YES_OR_NO] = setting(
        False,
        "Webhooks that are added by command may be on this machine or in a private network.",
        restart=True,
    )
    plain: Annotated[bool, YES_OR_NO] = setting(
        False,
        "A proxy or a tunnel in front ends TLS: plain text off loopback is meant.",
        restart=True,
    )
    tls: TlsSettings | None = setting(None, "TLS for the TCP addresses.", restart=True)

    @model_validator(mode="after")
    def _tcp_needs_a_token(self) -> ControlSettings:
        if not self.tokens and (open_to_all := [a for a in self.listen if not loopback(a)]):
            raise Misfit(
                "without a token file devgate listens for control only on loopback, "
                f"not on {open_to_all[0]}: set control.tokens or change control.listen",
                "listen",
            )
        return self


class CommandSettings(Table):
    """Starts and stops."""

    ack_timeout: Annotated[float, seconds(MIN_SECONDS, 300)] = setting(
        10, "How long a command that was sent waits for the device's result."
    )
    late_window: Annotated[float, seconds(0, DAY)] = setting(
        60, "How long after its 408 a command may still be settled by a late result."
    )
    queue_timeout: Annotated[float, seconds(0, DAY)] = setting(
        30, "How long a command waits behind others of its device."
    )
    max_long: Annotated[int, whole(1, 366 * DAY)] = setting(
        86400, "The longest start, in seconds (or times, for a device that counts them)."
    )
    max_waiting: Annotated[int, whole(1, 100_000)] = setting(
        16, "Waiting commands per device; more get 429."
    )
    require_key: Annotated[bool, YES_OR_NO] = setting(
        False, "A start without a key is refused with 400: every order has its number."
    )
    drain: Annotated[float, seconds(0, 3600)] = setting(
        15, "How long a stopping gateway waits for commands in flight."
    )
    while_running: Annotated[Literal["send", "refuse"], one_of("send", "refuse")] = setting(
        "send", "What becomes of a start for a device that runs already."
    )
    keep_keys: Annotated[float, seconds(1, YEARS)] = setting(
        "90d", "How long a caller's key protects against a second start."
    )


class LogSettings(Table):
    """What the gateway says of itself."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], one_of("debug", "info", "warning", "error")
    ] = setting("info", "The least that is logged.")
    format: Annotated[Literal["auto", "console", "json"], one_of("auto", "console", "json")] = (
        setting("auto", "auto: console on a terminal, JSON lines elsewhere.", restart=True)
    )


class Settings(Table):
    """The whole of gateway.toml."""

    device: DeviceSettings = setting({}, "The door for devices.")
    service: ServiceSettings = setting({}, "The texts for every device without its own.")
    control: ControlSettings = setting({}, "The door for the CLI and web applications.")
    http: HttpSettings = setting({}, "The door for browsers and web applications.")
    command: CommandSettings = setting({}, "Starts and stops.")
    store: StoreSettings = setting({}, "The database.")
    report: ReportSettings = setting({}, "Reports: what machines did by day and month.")
    cluster: ClusterSettings = setting({}, "Several gateways that are one fleet.")
    log: LogSettings = setting({}, "What the gateway says of itself.")
    webhook: list[WebhookSettings] = setting([], "Receivers of events.", restart=True)
    _file: str | None = PrivateAttr(None)
    _written: Callable[[str], str] | None = PrivateAttr(None)

    def __eq__(self, other: object) -> bool:
        """By their values, wherever they were read from."""
        return isinstance(other, Settings) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]  # as of all that has lists

    @property
    def file(self) -> str | None:
        """The file that they were read from, as an absolute path; None without one."""
        return self._file

    @property
    def session_file(self) -> str:
        """File of the secret that signs sessions; "": it is derived from the database's own."""
        url = self.store.url
        return self.http.secret or (
            f"{url.removeprefix('sqlite:///')}.sessions" if url.startswith("sqlite:///") else ""
        )

    @property
    def signs_by_database(self) -> bool:
        """Whether there are sessions, and the database has the secret that signs them."""
        return bool(self.http.listen) and not self.session_file

    def read_from(self, file: str | None, written: Callable[[str], str]) -> None:
        """Say which file they were read from, and what tells where a key was written."""
        self._file, self._written = file, written

    def where(self, key: str) -> str:
        """What stands in front of a complaint about this key: the file, the line and the key, or
        the variable. One of several tables has its number, from 0: `webhook.0.events`."""
        return key if self._written is None else self._written(key)

    @model_validator(mode="after")
    def _keys_need_their_records(self) -> Settings:
        if self.store.keep_commands < self.command.keep_keys:
            raise Misfit(
                "at least as long as command.keep_keys expected: a key whose command is "
                "forgotten could start a device twice",
                "store.keep_commands",
                "command.keep_keys",
            )
        return self

    @model_validator(mode="after")
    def _nodes_share_a_database(self) -> Settings:
        if self.cluster.node and not self.store.url.startswith("postgresql"):
            raise Misfit(
                "the nodes of a cluster share one PostgreSQL: a URL postgresql://... expected",
                "store.url",
                "cluster.node",
            )
        if self.cluster.node and self.store.after_loss == "resume":
            raise Misfit(
                "a node waits for `devgate db confirm-loss`, for it cannot know what the other "
                'nodes have lost: "confirm" expected',
                "store.after_loss",
                "cluster.node",
            )
        return self

    @model_validator(mode="after")
    def _webhooks_need_names(self) -> Settings:
        once_each(self.webhook)
        return self
