"""The low findings of the security review that have no file of their own."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devgate.errors import CallerError
from devgate.http.api import schemas
from devgate.http.api.misfit import misfit
from devgate.model import Imei
from devgate.net.tls import context
from devgate.store.device import Device, checked
from devgate.webhooks.public_addresses import is_public
from tests.http.harness import Site, problem, site
from tests.net.papers import Papers

TURNING = [
    *"\u061c\u200e\u200f",
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
]


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with site() as running:
        yield running


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("field", ["secret", "url"])
def test_no_error_quotes_a_secret(served: Site, method: str, field: str) -> None:
    """L2: `secret: … expected, not 'whsec_…'` quoted a malformed secret back."""
    given = {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!", "url": "ftp://a/?token=MfKQ9r8GK"}
    body = {field: given[field]}
    with served.client() as client:
        path = "/api/webhooks" if method == "POST" else "/api/webhooks/shop"
        if method == "POST":
            body |= {"name": "shop"}
        found = problem(client.request(method, path, json=body), 400, "400")
    assert field in found["detail"]
    assert "MfKQ9r8GK" not in str(found)
    assert "MfKQ9r8GK" not in served.log()


def named(device: Device, field: str, text: str) -> Device:
    given: dict[str, Any] = {field: text}
    return device._replace(**given)


@pytest.mark.parametrize("character", TURNING, ids=lambda one: f"U+{ord(one):04X}")
@pytest.mark.parametrize("field", ["name", "site", "phone"])
def test_nothing_turns_the_text_of_a_name(character: str, field: str) -> None:
    """L7: U+202E in a name shows one machine as another; all its kin are refused, by the store
    and by the schema of the API alike. Other invisible characters of living scripts are not."""
    device = Device(Imei("860000000000001"), 1)
    with pytest.raises(CallerError, match=f"^{field}: a text without '"):
        checked(named(device, field, f"Bay 1{character}"))
    schema = {"name": schemas.NAME, "site": schemas.SITE, "phone": schemas.PHONE}[field]
    assert misfit(schema, f"Bay 1{character}") is not None
    for fine in ("王芳 三号", "می‌خواهم", "José", "👩‍🔧"):
        checked(named(device, field, fine))
        assert misfit(schema, fine) is None


def test_the_host_of_azure_is_private() -> None:
    """L6: 168.63.129.16 counted as public, and answers every guest of Azure."""
    for text in ("168.63.129.16", "::ffff:168.63.129.16", "64:ff9b::a83f:8110"):
        assert not is_public(ipaddress.ip_address(text)), text
    assert is_public(ipaddress.ip_address("168.63.129.17"))


@pytest.mark.parametrize("cipher", ["AES128-SHA", "AES256-SHA256", "ECDHE-RSA-AES128-SHA"])
def test_old_cipher_suites_are_refused(tmp_path: Path, cipher: str) -> None:
    """L5: TLS 1.2 took AES128-SHA and AES256-SHA256, without forward secrecy."""
    papers = Papers(tmp_path)
    server = context(papers.certificate, papers.key)
    suites = {one["name"] for one in server.get_ciphers()}
    assert all(name.startswith("TLS_") or "GCM" in name or "CHACHA20" in name for name in suites)
    client = papers.client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(f"{cipher}:@SECLEVEL=0")
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    peer = client.wrap_bio(inward, outward, server_hostname="gate.example")
    with pytest.raises(ssl.SSLWantReadError):
        peer.do_handshake()
    their_in, their_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(their_in, their_out, server_side=True)
    their_in.write(outward.read())
    with pytest.raises(ssl.SSLError, match=r"(?i)no.shared.cipher"):
        ours.do_handshake()
