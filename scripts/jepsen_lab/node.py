"""One node of the lab: its folder, its configuration, its process."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from crashing.processes import free_port
from crashing.receiver import SECRET
from faulting.world import StormWorld

from tests.faults.preload import Faults

CONFIG = """\
[device]
listen = "127.0.0.1:{port}"
proxy_protocol = {relayed}
flapping = {{ takeovers = 10000, within = 1 }}

[control]
socket = "gateway.sock"
tokens = {tokens}

[http]
listen = "127.0.0.1:{http}"

[command]
ack_timeout = 2
queue_timeout = 5
late_window = 10
max_waiting = 8
drain = 3

[store]
url = {store}
refresh = 2

[cluster]
node = "{name}"
listen = "127.0.0.1:{inner}"
advertise = "127.0.0.1:{outer}"

[log]
level = "info"
format = "json"

[[webhook]]
name = "storm"
url = "http://127.0.0.1:{receiver}/"
secret = "{secret}"
allow_private = true
"""

FENCED = 12  # the exit code of a node that was declared dead, or cannot work at the moment


class Node(StormWorld):
    """`wanted`: it is to run, and is started again when it has ended."""

    def __init__(
        self,
        name: str,
        folder: Path,
        devices: int,
        seed: int,
        receiver: int,
        url_by: Callable[[tuple[int, ...]], str],
        *,
        relayed: bool,
    ) -> None:
        """`url_by` gives the database's URL by the ports of its two servers. `relayed`: devices
        come through a load balancer, and in no other way."""
        folder.mkdir(parents=True)
        self.name = name
        self.relayed = relayed
        self.pg_ports, self.inner, self.outer = (
            (free_port(), free_port()),
            free_port(),
            free_port(),
        )
        # Where load balancers reach it.
        self.device_door, self.http_door = free_port(), free_port()
        url = url_by(self.pg_ports)
        super().__init__(folder, url, devices, Faults(folder / "control"), seed)
        self.receiver = receiver
        self.wanted = True
        self.ended: Counter[str] = Counter()  # by itself, and was started again
        self._said = 0  # bytes of its log when it was started last
        text = CONFIG.format(
            port=self.port, http=self.http, name=name, inner=self.inner, outer=self.outer,
            store=json.dumps(url), tokens=json.dumps(str(folder.parent / "tokens")),
            receiver=receiver, secret=SECRET, relayed=json.dumps(relayed),
        )  # fmt: skip
        (folder / "gateway.toml").write_text(text, "utf-8")

    def launch(self) -> None:
        self._said = self.log.stat().st_size if self.log.exists() else 0
        super().launch()

    def may_end_with(self, code: int) -> bool:
        """Whether it may answer SIGTERM so. It has said, since it was started, why it may not go
        on: the others had declared it dead, or the database has lost rows. Or it had not begun."""
        with self.log.open("rb") as log:
            log.seek(self._said)
            said = log.read()
        if code == FENCED:
            return b"was declared dead by the others" in said or b"the database lost" in said
        return code == 0 or (code == -signal.SIGTERM and not said)

    def is_stopped(self) -> bool:
        """Whether a signal has frozen it."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] == "T"

    def stop_for(self, seconds: float) -> None:
        """Freeze it for that long."""
        if self.lives_on:
            self.signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.go_on()

    def go_on(self) -> None:
        if self.lives_on:
            self.signal(signal.SIGCONT)

    def end(self) -> None:
        self.wanted = False
        super().end()
        self.faults.close()
