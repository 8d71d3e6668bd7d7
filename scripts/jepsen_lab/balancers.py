"""HAProxy in front of the nodes, as docs/cluster.md says, and killed and restarted as a fault."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from crashing.processes import TIMEOUT_SECONDS, free_port
from script import Broken

from jepsen_lab.node import Node

CONFIG = """\
defaults
    timeout connect 1s
    timeout check 1s
    timeout client 5m
    timeout server 6m
    option redispatch 1
    retries 1

frontend devices
    mode tcp
    bind 127.0.0.1:{port}
    default_backend devices

backend devices
    mode tcp
    balance leastconn
    option httpchk GET /healthz
    default-server check inter 1s fall 2 rise 2 send-proxy-v2 on-marked-down shutdown-sessions
{servers}
"""


class Balancer:
    """One HAProxy."""

    def __init__(self, name: str, folder: Path, nodes: Sequence[Node]) -> None:
        found = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
        if found is None:
            raise Broken("HAProxy is not installed (Debian: apt-get install haproxy)")
        self.name = name
        self.port = free_port()
        servers = "\n".join(
            f"    server {node.name} 127.0.0.1:{node.device_door} port {node.http_door}"
            for node in nodes
        )
        self._program = found
        self._config, self._log = folder / f"{name}.cfg", folder / f"{name}.log"
        self._config.write_text(CONFIG.format(port=self.port, servers=servers))
        self.wanted = True  # it is to run, and is started again when it has ended
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def lives_on(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-db", "-f", self._config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def restart(self, rng: random.Random) -> None:
        """It ends, by a signal of an operator or at once, and is back after a while."""
        self.end(rng.choice([signal.SIGTERM, signal.SIGKILL]))
        time.sleep(rng.choice([0.0, rng.uniform(0, 3)]))
        self.wanted = True

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        self.wanted = False
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(TIMEOUT_SECONDS)
