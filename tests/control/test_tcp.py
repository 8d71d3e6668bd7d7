"""Control over TCP: every request shows a token; TLS where it is asked for."""

from __future__ import annotations

import shutil
import socket
import ssl
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from devgate.access.tokens import Tokens, add, remove
from devgate.control import transport
from devgate.control.limits import Limits
from devgate.errors import SetupError
from devgate.net.tls import context
from tests.control.harness import Caller, Served, serving
from tests.net.timers import probed_after


async def listen(served: Served, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
    (place,) = await served.nursery.start(served.server.serve_tcp, ["127.0.0.1:0"], tls)
    host, _, port = place.rpartition(":")
    return host, int(port)


async def call(place: tuple[str, int]) -> Caller:
    return Caller(await trio.open_tcp_stream(*place))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


async def test_a_client_that_lost_its_power_is_asked_after_a_minute() -> None:
    async with serving(access=None) as served:
        with socket.create_connection(await listen(served)) as client:
            assert 50 < probed_after(client) <= 60


async def test_every_request_shows_a_token(file: Path) -> None:
    secret = add(file, "shop", "admin")
    async with serving(access=Tokens(file)) as served:
        caller = await call(await listen(served))
        reply = await caller.ask(type="echo", token=secret, id=1)
        assert reply == {
            "status": "200", "source": "tcp:shop", "args": {"type": "echo"}, "id": 1,
        }  # fmt: skip
        reply = await caller.ask(type="start", imei="123456787654321", long=5, id=2)
        assert reply == {
            "status": "401", "message": "no token; nothing was done", "imei": "123456787654321",
            "type": "start", "long": 5, "command": None, "id": 2,
            "outcome": "refused",
        }  # fmt: skip
        for wrong in ("dg_wrong", "", None, 5, [secret], secret + " ", "x" * 50000):
            reply = await caller.ask(type="echo", token=wrong)
            assert reply == {
                "status": "401", "message": "a wrong token; nothing was done",
                "outcome": "refused",
            }  # fmt: skip
        assert (await caller.ask(type="echo", token=secret))["status"] == "200"
        await caller.stream.aclose()
    assert served.office.begun == []


async def test_a_new_token_is_in_force_at_once_and_a_removed_one_is_not(file: Path) -> None:
    async with serving(access=Tokens(file)) as served:
        caller = await call(await listen(served))
        assert (await caller.ask(type="echo", token="dg_"))["status"] == "401"
        secret = add(file, "shop", "admin")
        assert (await caller.ask(type="echo", token=secret))["status"] == "200"
        remove(file, "shop")
        assert (await caller.ask(type="echo", token=secret))["status"] == "401"
        await caller.stream.aclose()


async def test_a_token_that_may_only_read_starts_nothing(file: Path) -> None:
    secret = add(file, "screen", "read")
    async with serving(access=Tokens(file)) as served:
        caller = await call(await listen(served))
        reply = await caller.ask(type="start", imei="123456787654321", long=5, token=secret)
        assert reply["status"] == "401"
        assert reply["message"] == "the token screen may read only; nothing was done"
        await caller.stream.aclose()


@pytest.fixture
def patient_clock() -> MockClock:
    """Jumps when nothing has come for a while: TCP may take a moment from one end to the other."""
    return MockClock(autojump_threshold=0.1)


async def test_a_peer_has_a_limited_time_to_show_a_token(
    file: Path, patient_clock: MockClock
) -> None:
    secret = add(file, "shop", "admin")
    async with serving(access=Tokens(file), limits=Limits(login=10)) as served:
        place = await listen(served)
        caller, peer = await call(place), await call(place)
        assert (await caller.ask(type="echo", token=secret))["status"] == "200"
        await peer.send({"type": "echo"})
        assert [reply["status"] for reply in await peer.rest()] == ["401", "401"]
        assert (await caller.ask(type="echo", token=secret))["status"] == "200"
        for one in (caller, peer):
            await one.stream.aclose()


async def test_the_unix_socket_needs_none(file: Path) -> None:
    async with serving(access=Tokens(file)) as served:
        caller = await served.call()
        assert (await caller.ask(type="echo"))["source"] == "socket"


async def test_without_tokens_only_loopback_is_served() -> None:
    async with serving() as served:
        caller = await call(await listen(served))
        assert (await caller.ask(type="echo"))["source"] == "tcp"
        await caller.stream.aclose()
        with pytest.raises(SetupError, match=r"0\.0\.0\.0:\d+ is not loopback.*devgate token add"):
            await served.server.serve_tcp(["0.0.0.0:0"])


async def test_a_reply_is_not_lost_to_what_the_client_still_sends() -> None:
    async with serving() as served:
        caller = await call(await listen(served))
        with suppress(trio.BrokenResourceError):
            await caller.raw(b"{" * 1048576)
        (reply,) = await caller.rest()
        assert reply["status"] == "400"
        await caller.stream.aclose()


async def test_a_reset_ends_streams_and_disturbs_nobody() -> None:
    async with serving() as served:
        place = await listen(served)
        caller = await call(place)
        await caller.send({"type": "count", "to": 0, "name": "s"})
        await caller.line()
        assert isinstance(caller.stream, trio.SocketStream)
        caller.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await trio.aclose_forcefully(caller.stream)
        await served.office.until(served.office.ended, 1)
        assert await served.answers()


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A self-signed certificate for localhost, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed, which makes this test's certificate")
    folder = tmp_path_factory.mktemp("tls")
    files = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost",
         "-out", files[0], "-keyout", files[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return files


async def tls_call(place: tuple[str, int], ours: ssl.SSLContext) -> Caller:
    stream = trio.SSLStream(await trio.open_tcp_stream(*place), ours, server_hostname="localhost")
    await stream.do_handshake()
    return Caller(stream)


async def test_tls(certificate: tuple[str, str], file: Path) -> None:
    secret = add(file, "shop", "admin")
    async with serving(access=Tokens(file)) as served:
        place = await listen(served, context(*certificate))
        caller = await tls_call(place, ssl.create_default_context(cafile=certificate[0]))
        await caller.send(*({"type": "echo", "token": secret, "id": i} for i in range(50)))
        assert sorted([(await caller.line())["id"] for _ in range(50)]) == list(range(50))
        await caller.send({"type": "big", "size": 3_000_000, "token": secret})
        assert len((await caller.line())["message"]) == 3_000_000
        await caller.raw(b"nonsense")
        assert [reply["status"] for reply in await caller.rest()] == ["400"]
        await caller.stream.aclose()


async def test_a_tls_client_that_disappears_ends_its_streams(certificate: tuple[str, str]) -> None:
    async with serving() as served:
        place = await listen(served, context(*certificate))
        caller = await tls_call(place, ssl.create_default_context(cafile=certificate[0]))
        await caller.send({"type": "count", "to": 1, "name": "s"})
        await caller.line()
        assert isinstance(caller.stream, trio.SSLStream)
        transport = caller.stream.transport_stream
        transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await trio.aclose_forcefully(transport)
        await served.office.until(served.office.ended, 1)
        assert await served.answers()


async def test_draining_ends_a_tls_connection_in_good_order(certificate: tuple[str, str]) -> None:
    async with serving() as served:
        place = await listen(served, context(*certificate))
        caller = await tls_call(place, ssl.create_default_context(cafile=certificate[0]))
        assert (await caller.ask(type="echo"))["status"] == "200"
        served.nursery.start_soon(served.server.drain)
        assert await caller.rest() == [], "a close_notify came: anything less would raise"
        await caller.stream.aclose()


async def test_a_client_without_a_certificate_is_refused(certificate: tuple[str, str]) -> None:
    async with serving() as served:
        place = await listen(served, context(*certificate, client_ca=certificate[0]))
        ours = ssl.create_default_context(cafile=certificate[0])
        caller = await tls_call(place, ours)
        with pytest.raises(trio.BrokenResourceError):
            await caller.ask(type="echo")
        await trio.aclose_forcefully(caller.stream)
        ours.load_cert_chain(*certificate)
        caller = await tls_call(place, ours)
        assert (await caller.ask(type="echo"))["status"] == "200"
        await caller.stream.aclose()


async def test_who_makes_no_handshake_is_cut_off(
    certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "HANDSHAKE_SECONDS", 0.05)
    async with serving() as served:
        place = await listen(served, context(*certificate))
        silent, plain = await call(place), await call(place)
        await plain.send({"type": "echo"})
        for caller in (silent, plain):
            with suppress(trio.BrokenResourceError):
                while await caller.stream.receive_some():
                    pass
            await caller.stream.aclose()
        assert await served.answers()
