"""TLS handshakes before registration: a limited number, for a limited time."""

from __future__ import annotations

import gc
import socket
from pathlib import Path

from devgate.net.filters import Handshakes, Secure, plug
from devgate.net.link import Link
from devgate.net.tls import Tls
from tests.e2e.harness import SAMPLE, gateway
from tests.net.papers import Papers

HALF = b"\x16\x03\x01\x02\x00\x01\x00"  # of a ClientHello


def test_handshakes_under_way_are_bounded(tmp_path: Path) -> None:
    """M11: of 10 half hellos with room for 4, six end at once; each that ends makes room; and a
    connection that has sent nothing has no TLS object."""
    context, handshakes = Papers(tmp_path).server(), Handshakes(4)
    links = [Link(-1) for _ in range(10)]
    gc.collect()
    before = sum(isinstance(one, Tls) for one in gc.get_objects())
    for link in links:
        plug(link, tls=context, handshakes=handshakes)
    secures = [link.outbound for link in links]
    assert all(isinstance(one, Secure) and one.opening for one in secures)
    got = [link.receive(HALF) for link in links]
    assert got == [None] * 4 + [b""] * 6
    assert handshakes.under_way == 4
    assert links[9].why == "too many TLS handshakes are under way"
    assert before == 0
    for link in links:
        assert link.outbound is not None
        link.outbound.over()
        link.outbound.over()
    assert handshakes.under_way == 0


def test_a_handshake_has_ten_seconds(tmp_path: Path) -> None:
    """M11: 20 half hellos are closed long before register_timeout, and a device registers."""
    papers = Papers(tmp_path)
    tls = {"certificate": str(papers.certificate), "key": str(papers.key)}
    with gateway(
        {"device": {"tls": tls, "register_timeout": 3600, "idle_timeout": 3600}},
        devices=[{"imei": SAMPLE}],
    ) as running:
        halves = [socket.create_connection(running.device) for _ in range(20)]
        for half in halves:
            half.sendall(HALF)
        running.until(None, "connections", 20)
        running.until(None, "connections", 0)
        for half in halves:
            half.close()
        plain = socket.create_connection(running.device)
        with papers.client().wrap_socket(plain, server_hostname="gate.example") as device:
            device.sendall(f"023000{SAMPLE}HT".encode())
            assert device.recv(23) == f"023200{SAMPLE}HT".encode()
