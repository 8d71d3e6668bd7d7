"""A gateway whose users log in through Canaille."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.http.harness import Site, site
from tests.http.oidc.canaille import CLIENT, SECRET, free_port, provider


@contextmanager
def gateway_with_provider() -> Iterator[Site]:
    """Both, at ports of loopback that were free."""
    port = free_port()
    public = f"http://127.0.0.1:{port}"
    with provider(public) as issuer:
        oidc = {
            "issuer": issuer, "client_id": CLIENT, "client_secret": SECRET, "label": "SSO",
            "scopes": ["openid", "profile", "groups"], "admin": ["gate-admins"],
            "command": ["gate-operators"],
        }  # fmt: skip
        http = {"listen": f"127.0.0.1:{port}", "public": public, "secret": "", "oidc": oidc}
        with site({"http": http}) as running:
            yield running
