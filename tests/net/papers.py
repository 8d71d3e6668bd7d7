"""Real certificates, made again for each run."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme

from devgate.net.tls import context


class Papers:
    """A certificate authority, a server's certificate, and files of both."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        issued = self.ca.issue_cert("gate.example")
        self.certificate, self.key = folder / "cert.pem", folder / "key.pem"
        self.client_ca = folder / "ca.pem"
        for blob in issued.cert_chain_pems:
            blob.write_to_path(self.certificate, append=True)
        issued.private_key_pem.write_to_path(self.key)
        self.ca.cert_pem.write_to_path(self.client_ca)

    def server(self) -> ssl.SSLContext:
        return context(self.certificate, self.key)

    def client(self) -> ssl.SSLContext:
        made = ssl.create_default_context()
        self.ca.configure_trust(made)
        return made
