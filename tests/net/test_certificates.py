"""The files that TLS is made of: what will not do is named."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from devgate.errors import SetupError
from devgate.net.tls import TlsFileError, client_context, context
from tests.net.papers import Papers


def _missing(papers: Papers, folder: Path) -> tuple[Path, Path, Path | None]:
    return folder / "nowhere.pem", papers.key, None


def _no_key(papers: Papers, folder: Path) -> tuple[Path, Path, Path | None]:
    return papers.certificate, papers.certificate, None


def _others_key(papers: Papers, folder: Path) -> tuple[Path, Path, Path | None]:
    trustme.CA().issue_cert("x.example").private_key_pem.write_to_path(folder / "other.pem")
    return papers.certificate, folder / "other.pem", None


def _locked_key(papers: Papers, folder: Path) -> tuple[Path, Path, Path | None]:
    key = serialization.load_pem_private_key(papers.key.read_bytes(), None)
    (folder / "locked.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    return papers.certificate, folder / "locked.pem", None


def _garbled(papers: Papers, folder: Path) -> tuple[Path, Path, Path | None]:
    (folder / "garbled.pem").write_text("-----BEGIN CERTIFICATE-----\n?\n")
    return folder / "garbled.pem", papers.key, None


def _no_ca(papers: Papers, folder: Path) -> tuple[Path, Path, Path | None]:
    return papers.certificate, papers.key, papers.key


def _garbled_ca(papers: Papers, folder: Path) -> tuple[Path, Path, Path | None]:
    return papers.certificate, papers.key, _garbled(papers, folder)[0]


@pytest.mark.parametrize(
    ("make", "text", "key"),
    [
        (_missing, r"certificate .*nowhere\.pem: no such file", "certificate"),
        (_no_key, r"private key .*cert\.pem: no 'PRIVATE KEY' in it", "key"),
        (
            _others_key,
            r"cert\.pem, key .*other\.pem: the key is not the certificate's",
            "certificate",
        ),
        (_locked_key, r"locked\.pem: it has a password", "key"),
        (_garbled, r"garbled\.pem, key .*key\.pem: one of them cannot be read", "certificate"),
        (_no_ca, r"client_ca .*key\.pem: no 'BEGIN CERTIFICATE' in it", "client_ca"),
        (_garbled_ca, r"client_ca .*garbled\.pem: it cannot be read", "client_ca"),
    ],
)
def test_files_that_will_not_do_are_named(
    make: Callable[[Papers, Path], tuple[Path, Path, Path | None]],
    text: str,
    key: str,
    papers: Papers,
    tmp_path: Path,
) -> None:
    with pytest.raises(TlsFileError, match=text) as caught:
        context(*make(papers, tmp_path))
    assert caught.value.key == key, "whose line is told"


def _shake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """A whole handshake, and a byte each way. Raises what either side refuses."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=name)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (here, there):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    for writer, reader in ((here, there), (there, here)):
        writer.write(b"x")
        assert reader.read(1) == b"x"


def test_nodes_prove_themselves_to_one_another(papers: Papers) -> None:
    files = papers.certificate, papers.key, papers.client_ca
    server, client = context(*files), client_context(*files)
    _shake(server, client, "gate.example")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        _shake(server, client, "other.example")
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        _shake(server, papers.client(), "gate.example")
    with pytest.raises(ssl.SSLCertVerificationError):  # an authority that the system lacks
        _shake(papers.server(), client_context(papers.certificate, papers.key), "gate.example")


def test_a_client_names_files_that_will_not_do(papers: Papers, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"TLS private key .*nowhere\.pem"):
        client_context(papers.certificate, tmp_path / "nowhere.pem")
