"""The table [http]."""

from __future__ import annotations

from typing import Annotated

from pydantic import model_validator

from devgate.config.addresses import addresses, networks
from devgate.config.kinds import PUBLIC, YES_OR_NO, Misfit, path
from devgate.config.oidc import OidcSettings
from devgate.config.table import Table, setting
from devgate.config.tls import TlsSettings


class HttpSettings(Table):
    """The door for browsers and web applications."""

    listen: Annotated[list[str], addresses(required=False)] = setting(
        "", "Addresses of the API and the dashboard; nothing turns HTTP off.", restart=True
    )
    users: Annotated[str, path(optional=True)] = setting(
        "", "File of the dashboard's users, with hashed passwords.", restart=True
    )
    secret: Annotated[str, path(optional=True)] = setting(
        "",
        "File of the secret that signs sessions; made if missing. Nothing: <database>.sessions "
        "beside SQLite's file; PostgreSQL has it in the database.",
        restart=True,
    )
    public: Annotated[str, PUBLIC] = setting(
        "", "The URL that people see, where a proxy stands in front.", restart=True
    )
    proxies: Annotated[list[str], networks()] = setting(
        [], "Addresses or networks of proxies whose X-Forwarded-For is believed.", restart=True
    )
    metrics_public: Annotated[bool, YES_OR_NO] = setting(
        False, "/metrics needs no token.", restart=True
    )
    plain: Annotated[bool, YES_OR_NO] = setting(
        False,
        "A proxy or a tunnel in front ends TLS: plain text off loopback is meant.",
        restart=True,
    )
    oidc: OidcSettings = setting({}, "Logging in through a provider of OpenID Connect.")
    tls: TlsSettings | None = setting(None, "TLS for the addresses.", restart=True)

    @model_validator(mode="after")
    def _provider_needs_our_address(self) -> HttpSettings:
        if self.oidc.issuer and not self.public:
            raise Misfit(
                "the URL that people see expected: the provider sends them back there",
                "public",
                "oidc.issuer",
            )
        return self
