"""The door itself: odd clients, large bodies, TLS, and its end."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from devgate.config.load import load
from devgate.errors import SetupError
from devgate.process import check
from tests.e2e.harness import Gateway, gateway, toml
from tests.http.harness import Site, problem, site
from tests.net.papers import Papers
from tests.net.timers import probed_after


def talk(served: Site, wire: bytes) -> bytes:
    """Send this, and read until the gateway closes."""
    with socket.create_connection(served.at, timeout=60) as client:
        with contextlib.suppress(OSError):  # closed already, for what it had read of it
            client.sendall(wire)
            client.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while part := client.recv(65536):
                got += part
        except ConnectionResetError:
            pass
        return got


def test_a_client_that_lost_its_power_is_asked_after_a_minute(served: Site) -> None:
    with socket.create_connection(served.at) as client:
        assert 50 < probed_after(client) <= 60


def alive(served: Site) -> bool:
    with served.client() as client:
        return client.get("/api/status").status_code == 200


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bKdPyn3u98cTfZJSh4TNeQ==\r\n\r\n"
)


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"\x00" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 9000 + b"\r\n",
        b"POST /api/refresh HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc",
        b"POST /api/refresh HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        UPGRADE,
        UPGRADE + b"x",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /%ff%fe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: [\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: [\r\nAccept: text/html\r\n\r\n",
    ],
)
def test_an_odd_client_harms_nobody_else(served: Site, wire: bytes) -> None:
    assert b"Traceback" not in talk(served, wire)
    assert alive(served)


def test_a_body_that_is_too_long_is_told_so(client: httpx.Client) -> None:
    path = "/api/devices/860000000000001/start"
    found = problem(client.post(path, content=b"x" * 70_000), 413, "400")
    assert "65536 bytes" in found["detail"]
    parts = (b"x" * 50_000 for _ in range(40))  # of no announced length
    problem(client.post(path, content=parts), 413, "400")
    assert alive_on(client)


def test_an_early_answer_comes_before_the_end_of_the_body(served: Site) -> None:
    with served.client(None) as client:
        for _ in range(3):  # on one connection
            problem(client.post("/api/devices/import", content=b"x" * 3_000_000), 401, "401")


def alive_on(client: httpx.Client) -> bool:
    return client.get("/api/status").status_code == 200


def test_the_body_of_a_call_without_one_is_passed_over(client: httpx.Client) -> None:
    assert client.post("/api/refresh", content=b"x" * 100_000).status_code == 200
    assert client.request("GET", "/api/status", content=b"x" * 900_000).status_code == 200
    assert alive_on(client)


def test_what_is_not_there_is_a_problem(client: httpx.Client) -> None:
    problem(client.get("/api/nothing"), 404, "400")
    response = client.put("/api/status")
    problem(response, 405, "400")
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_requests_under_way_are_answered_before_the_end() -> None:
    imei = "860000000000001"
    with (
        site({"command": {"ack_timeout": 20}}, devices=[{"imei": imei}]) as running,
        running.client() as client,
        running.register(imei) as device,
        ThreadPoolExecutor(1) as pool,
    ):
        path = f"/api/devices/{imei}/start"
        waiting = pool.submit(client.post, path, json={"long": 500})
        assert device.read(26).endswith(b"QD500")
        ending = threading.Thread(target=running.terminate)
        ending.start()
        running.logged("draining")
        with running.client() as other:
            refused = other.post(path, json={"long": 500})
            assert (refused.status_code, refused.headers["connection"]) == (503, "close")
        device.send(f"023200{imei}QD")
        answer = waiting.result()
        assert (answer.json()["message"], answer.headers["connection"]) == ("started", "close")
        ending.join()


def test_tls_with_both_versions_of_http(tmp_path: Path) -> None:
    papers = Papers(tmp_path)
    tls = {"certificate": str(papers.certificate), "key": str(papers.key)}
    with site({"http": {"tls": tls}}) as running:
        trust = papers.client()
        at = f"https://localhost:{running.at[1]}"
        for http2, version in ((True, "HTTP/2"), (False, "HTTP/1.1")):
            with running.client(base_url=at, verify=trust, http2=http2) as client:
                head = {"sni_hostname": "gate.example"}
                response = client.get("/api/status", extensions=head)
                assert response.http_version == version
                assert response.json()["status"] == "200"
                assert "max-age" in response.headers["strict-transport-security"]
                big = client.post("/api/refresh", content=b"x" * 900_000, extensions=head)
                assert big.status_code == 200
        with pytest.raises(ssl.SSLError), socket.create_connection(running.at) as plain:
            ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")
        with socket.create_connection(running.at) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            plain.settimeout(60)
            while plain.recv(100):
                pass
        with running.client(base_url=at, verify=trust) as client:
            assert client.get("/api/status", extensions=head).status_code == 200


def test_an_address_that_cannot_be_had_is_said_at_once() -> None:
    unable = Gateway({"http": {"listen": "192.0.2.1:80"}})
    unable.launch()
    assert unable.process is not None
    assert unable.process.wait(60) != 0
    log = unable.log()
    shutil.rmtree(unable.folder)
    assert "devgate: cannot listen on 192.0.2.1:80" in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("http", "says"),
    [
        ({"users": "broken"}, "broken line 1: NAME ROLE CREATED"),
        ({"tls": {"certificate": "no.crt", "key": "no.key"}}, "no.crt"),
    ],
)
def test_files_that_are_of_no_use_are_found_by_a_check(
    tmp_path: Path, http: dict[str, object], says: str
) -> None:
    (tmp_path / "broken").write_text("hello")
    file = tmp_path / "gateway.toml"
    lines = [f"{name} = {toml(value)}" for name, value in http.items()]
    file.write_text("\n".join(["[http]", *lines]))
    with pytest.raises(SetupError, match=re.escape(says)):
        check(load(file, {}))


@pytest.mark.usefixtures("demos_take_free_ports")
def test_a_demo_has_its_dashboard_on() -> None:
    with gateway(arguments=["--demo", "2"]) as demo:
        login = demo.logged("in a browser").partition("http://")[2].partition('"')[0]
        at = demo.ask({"type": "status"})["listen"]["http"][0]
        assert login.startswith(f"{at}/login?once=")
        with httpx.Client(base_url=f"http://{at}", verify=False) as browser:
            assert browser.get("/api/status").status_code == 401
            assert browser.get(login.partition(at)[2]).status_code == 303
            assert browser.get("/api/status").json()["status"] == "200"
