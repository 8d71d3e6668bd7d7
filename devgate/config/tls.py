"""The table of a TLS listener: [device.tls], [control.tls], [http.tls], [cluster.tls]."""

from __future__ import annotations

from typing import Annotated

from devgate.config.kinds import path
from devgate.config.table import Table, setting


class TlsSettings(Table):
    """Files of one TLS listener."""

    certificate: Annotated[str, path()] = setting(
        ..., "PEM file with the certificate and its chain."
    )
    key: Annotated[str, path()] = setting(..., "PEM file with the certificate's private key.")
    client_ca: Annotated[str, path(optional=True)] = setting(
        "", "PEM file with the authorities whose client certificates are asked for."
    )
