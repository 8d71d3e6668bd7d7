"""A gateway of our own that runs for a moment, to be asked what it says of itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from documenting.plan import ROOT

SETTINGS = """
[device]
listen = "127.0.0.1:0"
[control]
socket = "g.sock"
[http]
listen = "127.0.0.1:0"
metrics_public = true
[store]
url = "sqlite:///g.db"
[log]
level = "error"
"""
TIMEOUT_SECONDS = 60


def metrics() -> str:
    """What /metrics says. Raises RuntimeError if the gateway does not start in time."""
    with tempfile.TemporaryDirectory(prefix="dg-") as name:
        folder = Path(name)
        (folder / "gateway.toml").write_text(SETTINGS, "utf-8")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DEVGATE_")}
        env = {**kept, "DEVGATE_CONFIG": str(folder / "gateway.toml"), "PYTHONPATH": str(ROOT)}
        devgate = [sys.executable, "-m", "devgate"]
        gateway = subprocess.Popen([*devgate, "serve"], cwd=folder, env=env)
        try:
            door = _door(devgate, folder, env)
            with urllib.request.urlopen(f"http://{door}/metrics", timeout=10) as reply:
                return str(reply.read().decode())
        finally:
            gateway.terminate()
            gateway.wait(30)


def _door(devgate: list[str], folder: Path, env: dict[str, str]) -> str:
    until = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < until:
        done = subprocess.run(
            [*devgate, "status", "--json"], cwd=folder, env=env, capture_output=True, text=True
        )
        if done.returncode == 0:
            [door] = json.loads(done.stdout)["listen"]["http"]
            return str(door)
        time.sleep(0.2)
    raise RuntimeError("the gateway that was to tell its metrics did not start")
