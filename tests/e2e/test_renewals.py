"""What stands in files of its own is taken up by a running gateway: at once on SIGHUP."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from pathlib import Path

import trustme
from cryptography import x509

from tests.e2e.caller import knowing
from tests.e2e.device import WAIT_SECONDS
from tests.http.harness import site
from tests.http.visitor import visitor


def put(file: Path, content: bytes) -> None:
    new = file.with_suffix(".new")
    new.write_bytes(content)
    os.replace(new, file)


def renew(ca: trustme.CA, folder: Path) -> int:
    """The serial number of what is there now."""
    issued = ca.issue_cert("127.0.0.1")
    put(folder / "cert.pem", issued.cert_chain_pems[0].bytes())
    put(folder / "key.pem", issued.private_key_pem.bytes())
    return x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).serial_number


def shown(ca: trustme.CA, at: tuple[str, int]) -> int:
    """The serial number of the certificate that a new connection gets."""
    client = ssl.create_default_context()
    ca.configure_trust(client)
    with (
        socket.create_connection(at, WAIT_SECONDS) as plain,
        client.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        found = secured.getpeercert(binary_form=True)
    assert found is not None
    return x509.load_der_x509_certificate(found).serial_number


def test_certificates_of_all_doors_and_secrets_are_renewed(tmp_path: Path) -> None:
    ca = trustme.CA()
    first = renew(ca, tmp_path)
    (tmp_path / "hook").write_text("whsec_" + "A" * 32)
    tls = {"certificate": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    settings: dict[str, dict[str, object]] = {
        "http": {"tls": tls},
        "device": {"tls": tls},
        "control": {"listen": "127.0.0.1:0", "tls": tls},
    }
    with site(settings) as served:
        listen = served.ask({"type": "status"})["listen"]
        doors = [listen[name][0] for name in ("device", "http")]
        doors += [place for place in listen["control"] if "/" not in place]
        places = [(host, int(port)) for host, _, port in (one.rpartition(":") for one in doors)]
        assert {shown(ca, place) for place in places} == {first}
        second = renew(ca, tmp_path)
        served.signal(signal.SIGHUP)
        for name in ("device", "control", "http"):
            served.logged("certificate renewed", name)
        assert {shown(ca, place) for place in places} == {second}
        assert served.ask({"type": "status"})["background"]["certificates"] == "ok"
        put(tmp_path / "key.pem", b"no key")
        served.signal(signal.SIGHUP)
        served.logged("background task fails", "certificates", "the one before stays in use")
        assert {shown(ca, place) for place in places} == {second}
        put(tmp_path / "key.pem", b"no key")
        third = renew(ca, tmp_path)
        served.signal(signal.SIGHUP)
        served.logged("background task works again", "certificates")
        assert {shown(ca, place) for place in places} == {third}


def test_another_secret_of_sessions_ends_them() -> None:
    with site({"http": {"secret": "sessions"}}) as served, visitor(served.url) as somebody:
        somebody.log_in(token=served.tokens["read"])
        somebody.get("/")
        put(served.folder / "sessions", b"f" * 64)
        served.signal(signal.SIGHUP)
        served.logged("secret of sessions renewed")
        somebody.get("/", 303)
        somebody.log_in(token=served.tokens["read"])
        put(served.folder / "sessions", b"short")
        served.signal(signal.SIGHUP)
        served.logged("background task fails", "http secret")
        somebody.get("/")


def test_the_log_says_more_by_command() -> None:
    with knowing({}) as served:
        assert "level debug on" in served.cli("log-level", "debug").stdout
        reply = served.ask({"type": "log_level"})
        assert (reply["level"], reply["configured"]) == ("debug", "info")
        assert served.cli("log-level", "loud").returncode == 2
        served.signal(signal.SIGHUP)
        served.logged("settings reloaded")
        assert served.ask({"type": "log_level"})["level"] == "info", "as it is configured"
