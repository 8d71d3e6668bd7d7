"""Accept fails for good: no door spins, each says so once, and all is well afterwards."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from tests.e2e.harness import SAMPLE, address, gateway
from tests.faults.preload import preloaded


@pytest.mark.parametrize("error", [errno.EPERM, errno.EINVAL, errno.ECONNABORTED])
def test_accept_that_fails_for_good_keeps_no_core_busy(tmp_path: Path, error: int) -> None:
    """F20: devices, HTTP and the control socket pause after 16 failures in a row, say the errno
    once, and accept what waited when the fault is over."""
    with preloaded(tmp_path / "faults") as faults:
        settings = {"http": {"listen": "127.0.0.1:0"}}
        with gateway(settings, environment=faults.environment()) as running:
            running.add_devices([{"imei": SAMPLE}])
            [web] = running.ask({"type": "status"})["listen"]["http"]
            faults.set(accept_errno=error, accept_faults=-1)
            name = f"({errno.errorcode[error]})"
            with (
                running.unregistered() as device,
                socket.create_connection(address(web)) as browser,
                running.connect() as caller,
            ):
                device.send(f"023000{SAMPLE}HT")
                browser.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                caller.sendall(b'command{"type":"status"}')
                running.logged("accepting paused", name)
                running.logged("http accept paused", name)
                running.logged("control accept paused", name)
                faults.clear()
                device.expect(f"023200{SAMPLE}HT")
                browser.settimeout(60)
                assert browser.recv(12) == b"HTTP/1.1 200"
                caller.settimeout(60)
                assert b'"200"' in caller.recv(1000)
            assert running.log().count(name) == 3, "each door said it once"
