"""TLS of the doors: whose certificate is where, and the context that serves it."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from devgate.config.settings import Settings
from devgate.config.tls import TlsSettings
from devgate.errors import SetupError
from devgate.net.tls import context
from devgate.net.tls_contexts import TlsContexts


def tables(settings: Settings) -> dict[str, TlsSettings]:
    """The tables of the doors that have TLS, by their names."""
    found = {
        "device.tls": settings.device.tls,
        "control.tls": settings.control.tls,
        "http.tls": settings.http.tls,
        "cluster.tls": settings.cluster.tls,
    }
    return {name: tls for name, tls in found.items() if tls is not None}


def certificate_files(settings: Settings) -> dict[str, str]:
    """The certificate's file of each door that has one, by its table."""
    return {name: tls.certificate for name, tls in tables(settings).items()}


def check(settings: Settings) -> None:
    """Raises SetupError, with the file and line of the key, for what a door cannot use."""
    for name, tls in tables(settings).items():
        try:
            tls_of(tls)
        except SetupError as err:
            where = settings.where(f"{name}.{_key_of(str(err))}")
            raise SetupError(f"{where}: {err}", err.status) from err


def _key_of(text: str) -> str:
    """The key of the file that a sentence of `net.tls` is about, which begins with its kind."""
    kinds = {"TLS private key ": "key", "TLS key ": "key", "TLS client_ca ": "client_ca"}
    return next((key for kind, key in kinds.items() if text.startswith(kind)), "certificate")


def door_tls(
    contexts: TlsContexts,
    name: str,
    settings: TlsSettings | None,
    protocols: Sequence[str] = (),
) -> ssl.SSLContext | None:
    """tls_of() for a door that may have TLS, whose certificate is renewed while it serves."""
    if settings is None:
        return None
    ca = Path(settings.client_ca) if settings.client_ca else None
    return contexts.door(name, Path(settings.certificate), Path(settings.key), ca, protocols)


def tls_of(settings: TlsSettings) -> ssl.SSLContext:
    """Raises SetupError if certificate or key cannot be used."""
    ca = Path(settings.client_ca) if settings.client_ca else None
    return context(Path(settings.certificate), Path(settings.key), ca)
