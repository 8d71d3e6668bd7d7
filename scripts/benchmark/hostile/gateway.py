"""The gateway that is attacked."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from benchmark.errors import BenchError
from benchmark.hostile.honest import status
from benchmark.hostile.tally import Tally
from benchmark.servers import START_SECONDS, STOP_SECONDS

SCRIPTS = Path(__file__).resolve().parent.parent.parent
CONFIG = """\
[device]
listen = "127.0.0.1:0"
[control]
socket = "{folder}/s"
listen = "127.0.0.1:0"
tokens = "{folder}/tokens"
[http]
listen = "127.0.0.1:0"
[store]
url = "sqlite:///{folder}/devgate.db"
"""
TLS = """\
[http.tls]
certificate = "{folder}/certificate.pem"
key = "{folder}/key.pem"
"""


@dataclass(frozen=True, slots=True)
class Running:
    """One that is ready."""

    process: subprocess.Popen[bytes]
    ports: dict[str, int]  # by door
    tally: Tally
    tally_file: Path


@contextlib.contextmanager
def gateway(folder: Path, tree: Path | None, *, tls: bool) -> Iterator[Running]:
    """A gateway of this tree or another one, with its files in `folder`.

    Raises BenchError with its words if it does not start.
    """
    if tls:
        _certify(folder)
    config = CONFIG + TLS * tls
    (folder / "gateway.toml").write_text(config.format(folder=folder))
    path = [str(part) for part in (tree or SCRIPTS.parent, SCRIPTS)]
    environment = {
        **os.environ,
        "DEVGATE_CONFIG": str(folder / "gateway.toml"),
        "PYTHONPATH": os.pathsep.join(path),
    }
    rows = "".join(f"{860000000000000 + n}\n" for n in range(200))
    (folder / "devices.csv").write_text("imei\n" + rows)
    for words in (["token", "add", "x", "--role", "read"], ["devices", "import", "devices.csv"]):
        program = [sys.executable, "-m", "devgate", *words]
        done = subprocess.run(
            program, cwd=folder, env=environment, check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise BenchError(f"{' '.join(words)}: {done.stderr}")
    tally_file, log = folder / "tally", folder / "log"
    tally = Tally(tally_file)
    program = [sys.executable, "-m", "benchmark.hostile.counted", str(tally_file), "serve"]
    with log.open("wb") as file:
        server = subprocess.Popen(program, cwd=folder, env=environment, stdout=file, stderr=file)
    try:
        ends = time.monotonic() + START_SECONDS
        while not (folder / "s").exists():
            if server.poll() is not None or time.monotonic() > ends:
                raise BenchError(f"no gateway: {log.read_text()}")
            time.sleep(0.05)
        time.sleep(0.2)
        listens = status(folder / "s")["listen"]
        # TCP first: the Unix socket of the control port stands behind it.
        ports = {door: int(places[0].rpartition(":")[2]) for door, places in listens.items()}
        yield Running(server, ports, tally, tally_file)
    finally:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def missing(tree: Path) -> list[str]:
    """What this tree depends on and the bench's environment does not have."""
    project = tomllib.loads((tree / "pyproject.toml").read_text())["project"]
    names = [re.match(r"[\w.-]+", text) for text in project["dependencies"]]
    found = {re.sub(r"[-_.]+", "-", dist.name).lower() for dist in distributions()}
    return [name[0] for name in names if name and name[0].lower() not in found]


def bytes_read(process: subprocess.Popen[bytes]) -> int:
    """Bytes that it has read by read(2): what devices sent, and a little of its database."""
    for line in Path(f"/proc/{process.pid}/io").read_text().splitlines():
        if line.startswith("rchar: "):
            return int(line.removeprefix("rchar: "))
    raise BenchError("/proc/PID/io does not tell rchar")


def waited(process: subprocess.Popen[bytes]) -> float:
    """Seconds that its loop could have run and had no core."""
    words = Path(f"/proc/{process.pid}/schedstat").read_text().split()
    return int(words[1]) / 1e9


def _certify(folder: Path) -> None:
    """A certificate that nobody need believe, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gate.example")])
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(),
        now, now + datetime.timedelta(days=1),
    )  # fmt: skip
    (folder / "certificate.pem").write_bytes(
        builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
