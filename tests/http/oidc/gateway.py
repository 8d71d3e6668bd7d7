"""Gateways whose users log in through Canaille."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.http.harness import Site, site
from tests.http.oidc.canaille import CLIENT, SECRET, free_port, provider


@contextmanager
def gateway_with_provider() -> Iterator[Site]:
    """Both, at ports of loopback that were free."""
    port = free_port()
    public = f"http://127.0.0.1:{port}"
    with provider(public) as issuer, site({"http": _through(issuer, public, port)}) as running:
        yield running


@contextmanager
def nodes_with_provider(url: str) -> Iterator[tuple[Site, Site]]:
    """Two nodes on this PostgreSQL. The first one has the address that the provider knows, which
    in life is that of what stands before both."""
    port, other = free_port(), free_port()
    public = f"http://127.0.0.1:{port}"

    def settings(name: str, port: int) -> dict[str, Mapping[str, object]]:
        return {
            "http": _through(issuer, public, port),
            "store": {"url": url},
            "cluster": {"node": name},
            "control": {"tokens": ""},
        }

    with (
        provider(public) as issuer,
        site(settings("a", port)) as a,
        site(settings("b", other)) as b,
    ):
        yield a, b


def _through(issuer: str, public: str, port: int) -> dict[str, object]:
    oidc = {
        "issuer": issuer, "client_id": CLIENT, "client_secret": SECRET, "label": "SSO",
        "scopes": ["openid", "profile", "groups"], "admin": ["gate-admins"],
        "command": ["gate-operators"],
    }  # fmt: skip
    return {"listen": f"127.0.0.1:{port}", "public": public, "secret": "", "oidc": oidc}
