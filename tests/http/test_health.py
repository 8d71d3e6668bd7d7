"""/healthz and /readyz: open to everybody, and they name what is wrong."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.e2e.caller import Caller, eventually, settle
from tests.e2e.device import frame
from tests.http.harness import Json, Site, site

WELL = {"poller": "ok", "store": "ok", "control": "ok", "draining": "ok"}


@pytest.fixture
def peer(served: Site) -> Iterator[httpx.Client]:
    with served.client(None) as opened:
        yield opened


def asked(client: httpx.Client, path: str) -> tuple[int, Json]:
    response = client.get(path)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert body["status"] == ("ok" if response.status_code == 200 else "failing")
    return response.status_code, body["checks"]


def wrong(client: httpx.Client) -> Json:
    """What /readyz complains of."""
    code, checks = asked(client, "/readyz")
    assert set(checks) == set(WELL)
    found = {name: said for name, said in checks.items() if said != "ok"}
    assert code == (503 if found else 200)
    return found


def test_all_is_well(peer: httpx.Client) -> None:
    assert asked(peer, "/healthz") == (200, {"poller": "ok"})
    assert asked(peer, "/readyz") == (200, WELL)
    assert peer.head("/readyz").status_code == 200
    assert peer.post("/readyz").status_code == 405


def test_a_control_socket_that_somebody_removed(served: Site, peer: httpx.Client) -> None:
    away = served.socket.with_suffix(".away")
    served.socket.rename(away)
    try:
        found = wrong(peer)
    finally:
        away.rename(served.socket)
    assert list(found) == ["control"]
    assert "removed its socket" in found["control"]
    assert wrong(peer) == {}


@contextmanager
def full_disk(served: Site) -> Iterator[None]:
    """No file of the gateway may grow past about 8 KB."""
    assert served.process is not None
    before = resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        yield
    finally:
        resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, before)


def test_a_journal_that_cannot_be_written(
    served: Site, peer: httpx.Client, imei: str, client: httpx.Client
) -> None:
    def after_a_registration(expected: Callable[[Json], bool]) -> Json:
        def look() -> Json:
            served.register(imei).close()  # something to write
            return wrong(peer)

        return eventually(look, expected)

    with full_disk(served):
        found = after_a_registration(bool)
        assert list(found) == ["store"]
        assert "cannot be written" in found["store"]
        assert "disk" in found["store"]
        assert asked(peer, "/healthz")[0] == 200, "a restart would not help"
        assert "\ndevgate_store_writable 0.0\n" in client.get("/metrics").text
    after_a_registration(lambda found: not found)


def test_a_gateway_that_stops(imei: str) -> None:
    with site(devices=[{"imei": imei}]) as stopping, stopping.client(None) as peer:
        with stopping.register(imei) as device, Caller(stopping) as caller:
            caller.send(imei=imei, type="start", long=500)
            device.expect(frame("000", imei, "QD", "500"))
            stopping.signal(signal.SIGTERM)
            found = eventually(lambda: wrong(peer), bool)
            assert found == {"draining": "the gateway is stopping"}
            assert asked(peer, "/healthz")[0] == 200
            with stopping.client("read") as reader:
                assert "\ndevgate_draining 1.0\n" in reader.get("/metrics").text
            settle(device, imei, "QD500")
            assert caller.line()["status"] == "200"
        assert stopping.wait() == 0
