"""Keys that are set and have no effect, because another key is not set."""

from __future__ import annotations

from collections.abc import Iterator

from devgate.config.settings import Settings
from devgate.config.table import Table


def unused(settings: Settings) -> Iterator[str]:
    """A sentence for each: the key, and what it needs."""
    control, http, device = settings.control, settings.http, settings.device
    if not http.listen:
        yield from _set(http, "http", "http.listen is empty: HTTP is off")
    elif not http.oidc.issuer:
        yield from _set(http.oidc, "http.oidc", "http.oidc.issuer is empty: nobody logs in so")
    if not control.listen:
        yield from _set(
            control, "control", "control.listen is empty: there is no TCP for control",
            only=("plain", "tls"),
        )  # fmt: skip
        if control.tokens and not http.listen:
            yield "control.tokens has no effect: neither control.listen nor http.listen is set"
    if not settings.cluster.node:
        yield from _set(settings.cluster, "cluster", "cluster.node is empty: it works alone")
    if device.proxy_from and not device.proxy_protocol:
        yield "device.proxy_from has no effect: device.proxy_protocol is false"


def _set(table: Table, name: str, why: str, only: tuple[str, ...] = ()) -> Iterator[str]:
    for key in sorted(table.model_fields_set):
        default = type(table).model_fields[key].default
        value = getattr(table, key)
        if default == {}:  # a table
            default = type(value)()
        if (only and key not in only) or key == "listen" or value == default:
            continue
        yield f"{name}.{key} has no effect: {why}"
