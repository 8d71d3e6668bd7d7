"""TLS of the doors: the files of each certificate, and the context that serves it."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from devgate.config.settings import Settings
from devgate.config.tls import TlsSettings
from devgate.errors import WrongSettings
from devgate.net.tls import TlsFileError, context
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
    """Raises WrongSettings, with file and line of the key, for files that a door cannot use."""
    for name, tls in tables(settings).items():
        try:
            tls_of(tls)
        except TlsFileError as err:
            where = settings.where(f"{name}.{err.key}")
            raise WrongSettings(f"{where}: {err}") from err


def door_tls(
    contexts: TlsContexts,
    name: str,
    settings: TlsSettings | None,
    protocols: Sequence[str] = (),
) -> ssl.SSLContext | None:
    """tls_of() for a door that may have TLS, whose certificate is renewed while it serves."""
    if settings is None:
        return None
    return contexts.door(name, *files(settings), protocols)


def tls_of(settings: TlsSettings) -> ssl.SSLContext:
    """Raises TlsFileError if certificate or key cannot be used."""
    return context(*files(settings))


def files(settings: TlsSettings) -> tuple[Path, Path, Path | None]:
    """The files of the certificate, its key, and the trusted authorities."""
    ca = Path(settings.client_ca) if settings.client_ca else None
    return Path(settings.certificate), Path(settings.key), ca
