"""A certificate is renewed while its door serves: the next connection has the new one."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from devgate.errors import SetupError
from devgate.net.tls_contexts import TlsContexts


class Shop:
    """Files of a certificate, as an operator would replace them."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.certificate, self.key = folder / "cert.pem", folder / "key.pem"
        self.client_ca = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.client_ca)

    def renew(self, kind: trustme.KeyType) -> int:
        """Put another certificate in its place. Returns its serial number."""
        issued = self.ca.issue_cert("gate.example", key_type=kind)
        for blob, file in (
            (issued.cert_chain_pems[0], self.certificate), (issued.private_key_pem, self.key),
        ):  # fmt: skip
            new = file.with_suffix(".new")
            new.write_bytes(blob.bytes())
            os.replace(new, file)
        return x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).serial_number

    def trusting(self) -> ssl.SSLContext:
        made = ssl.create_default_context()
        self.ca.configure_trust(made)
        return made


def meet(
    door: ssl.SSLContext, client: ssl.SSLContext, name: str | None = "gate.example"
) -> ssl.SSLObject:
    """A handshake, and a byte from the server. Returns the client's end; raises ssl.SSLError."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(down, up, server_hostname=name)
    theirs = door.wrap_bio(up, down, server_side=True)
    left = [ours.do_handshake, theirs.do_handshake]
    for _ in range(10):
        for step in list(left):
            try:
                step()
            except ssl.SSLWantReadError:
                continue
            left.remove(step)
    assert not left, "the handshake comes to an end"
    theirs.write(b"x")
    assert ours.read(1) == b"x"
    return ours


def serial(connection: ssl.SSLObject) -> int:
    found = connection.getpeercert(binary_form=True)
    assert found is not None
    return x509.load_der_x509_certificate(found).serial_number


def test_new_connections_have_the_new_one(tmp_path: Path) -> None:
    """Also of another kind of key: none is left of the one before. With and without a name."""
    shop, certificates = Shop(tmp_path), TlsContexts()
    first = shop.renew(trustme.KeyType.RSA)
    door = certificates.door("http", shop.certificate, shop.key, protocols=["h2"])
    client = shop.trusting()
    client.set_alpn_protocols(["h2"])
    old = meet(door, client)
    assert serial(old) == first
    certificates.look()
    assert serial(meet(door, client)) == first, "nothing has changed"
    for kind in (trustme.KeyType.ECDSA, trustme.KeyType.RSA):
        renewed = shop.renew(kind)
        assert serial(meet(door, client)) != renewed, "nobody has looked"
        certificates.look()
        now = meet(door, client)
        assert (serial(now), now.selected_alpn_protocol()) == (renewed, "h2")
        client.check_hostname = False
        assert serial(meet(door, client, None)) == renewed
        client.check_hostname = True
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert serial(meet(door, client)) == renewed
    assert serial(old) == first


def test_files_that_do_not_belong_together_change_nothing(tmp_path: Path) -> None:
    shop, certificates = Shop(tmp_path), TlsContexts()
    first = shop.renew(trustme.KeyType.ECDSA)
    door = certificates.door("control", shop.certificate, shop.key)
    key = shop.key.read_bytes()
    renewed = shop.renew(trustme.KeyType.ECDSA)
    right = shop.key.read_bytes()
    shop.key.write_bytes(key)
    for _ in range(2):  # also the second time: what is wrong stays wrong
        with pytest.raises(SetupError, match=r"\[control.tls\]: .* the one before stays in use"):
            certificates.look()
        assert serial(meet(door, shop.trusting())) == first
    shop.key.write_bytes(right)
    certificates.look()
    assert serial(meet(door, shop.trusting())) == renewed


def test_other_authorities_for_clients_count_at_once(tmp_path: Path) -> None:
    shop, certificates = Shop(tmp_path), TlsContexts()
    shop.renew(trustme.KeyType.ECDSA)
    door = certificates.door("device", shop.certificate, shop.key, shop.client_ca)
    known = shop.trusting()
    shop.ca.issue_cert("device.example").configure_cert(known)
    meet(door, known)
    trustme.CA().cert_pem.write_to_path(shop.client_ca)
    certificates.look()
    with pytest.raises(ssl.SSLError, match="certificate"):
        meet(door, known)


def test_a_client_has_the_new_one_as_well(tmp_path: Path) -> None:
    shop, certificates = Shop(tmp_path), TlsContexts()
    shop.renew(trustme.KeyType.ECDSA)
    newest = certificates.client("cluster", shop.certificate, shop.key, shop.client_ca)
    before = newest()
    shop.renew(trustme.KeyType.ECDSA)
    certificates.look()
    assert newest() is not before
