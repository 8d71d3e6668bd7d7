"""The files of the guides of TLS, load balancer and backup, tried."""

from __future__ import annotations

import configparser
import contextlib
import shlex
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import click
import pytest

from devgate.cli.main import cli
from tests.docs.pages import ROOT
from tests.e2e.caller import DEVICES, obey
from tests.e2e.device import WAIT_SECONDS, Device, frame
from tests.e2e.harness import Settings, gateway

EXAMPLES = ROOT / "docs" / "examples"
IMEI = "860000000000001"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_the_certificates_of_the_guide_are_good(tmp_path: Path) -> None:
    """A machine that trusts the authority alone registers; one that does not know it, does not."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed (Debian: apt-get install openssl)")
    script = EXAMPLES / "tls" / "make-certificates.sh"
    subprocess.run(["sh", str(script), "127.0.0.1"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "gateway.key").stat().st_mode & 0o077 == 0
    tls = {"certificate": str(tmp_path / "gateway.crt"), "key": str(tmp_path / "gateway.key")}
    with gateway({"device": {"tls": tls}}, devices=DEVICES) as running:
        knows = ssl.create_default_context(cafile=str(tmp_path / "authority.crt"))
        with (
            socket.create_connection(running.device, WAIT_SECONDS) as plain,
            knows.wrap_socket(plain, server_hostname="127.0.0.1") as machine,
        ):
            machine.sendall(frame("000", IMEI, "HT").encode())
            assert machine.recv(23) == frame("200", IMEI, "HT").encode()
        with (
            socket.create_connection(running.device, WAIT_SECONDS) as plain,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            ssl.create_default_context().wrap_socket(plain, server_hostname="127.0.0.1")


def test_a_machine_is_started_through_the_balancer(tmp_path: Path) -> None:
    haproxy = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")
    if haproxy is None:
        pytest.skip("HAProxy is not installed (Debian: apt-get install haproxy)")
    front, web, back, http = (free_port() for _ in range(4))
    text = (EXAMPLES / "balancer" / "haproxy.cfg").read_text("utf-8")
    for written, port in ((12306, front), (8000, web), (12310, back), (8080, http)):
        assert f"127.0.0.1:{written}" in text
        text = text.replace(f"127.0.0.1:{written}", f"127.0.0.1:{port}")
        text = text.replace(f"port {written}", f"port {port}")
    (tmp_path / "haproxy.cfg").write_text(text)
    settings: Settings = {
        "device": {
            "listen": f"127.0.0.1:{back}", "proxy_protocol": True, "proxy_from": ["127.0.0.1"],
        },
        "http": {"listen": f"127.0.0.1:{http}", "proxies": ["127.0.0.1"]},
    }  # fmt: skip
    with gateway(settings, devices=DEVICES) as running:
        balancer = subprocess.Popen(
            [haproxy, "-f", "haproxy.cfg"], cwd=tmp_path,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            with through(front) as machine:
                address = "{}:{}".format(*machine.socket.getsockname())
                assert running.status(IMEI)["address"] == address, "its own, not the balancer's"
                with running.connect() as caller:
                    caller.sendall(b'command{"type":"start","imei":"%s","long":5}' % IMEI.encode())
                    obey(machine, IMEI, "QD5")
                    assert b'"outcome":"done"' in caller.recv(4096)
        finally:
            balancer.kill()
            balancer.wait()


def through(port: int) -> Device:
    """A machine that is registered through the balancer, once that has found the gateway."""
    ends = time.monotonic() + WAIT_SECONDS
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), WAIT_SECONDS).close()  # it is there
            machine = Device(("127.0.0.1", port))
            with contextlib.suppress(OSError):
                machine.send(frame("000", IMEI, "HT"))
                if machine.read(23) == frame("200", IMEI, "HT").encode():
                    return machine
            machine.close()
        assert time.monotonic() < ends, "the balancer does not lead to the gateway"
        time.sleep(0.1)


def test_the_nightly_backup_is_a_command_of_ours() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(EXAMPLES / "backup" / "devgate-backup.service")
    program, name, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert Path(program).name == "devgate"
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    context = command.make_context(name, arguments)
    assert context.params["keep"] == 14
    context.close()


def test_systemd_takes_the_timer(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    for file in (EXAMPLES / "backup").iterdir():
        text = file.read_text("utf-8").replace("/usr/local/bin/devgate", "/bin/true")
        (tmp_path / file.name).write_text(text)
    done = subprocess.run(
        [analyze, "verify", "--recursive-errors=no", str(tmp_path / "devgate-backup.timer"),
         str(tmp_path / "devgate-backup.service")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "devgate-backup" not in done.stderr
