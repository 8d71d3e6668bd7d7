"""Running out of descriptors, for real: in a process of its own with a low limit."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

LIMITS = """
import json, resource
from devgate.net.limits import capacity, raise_descriptor_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
before = capacity()
print(json.dumps([before, raise_descriptor_limit(), capacity()]))
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
print(json.dumps(raise_descriptor_limit()))
"""

GATE = """
import logging, os, resource, sys, trio
from devgate.net.acceptor import Acceptor
from devgate.net.addresses import bind, shown

class Steps(trio.abc.Instrument):
    count = 0
    def before_task_step(self, task):
        self.count += 1

logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
inside, leaked = [], []
looks, three_looks = 0, trio.Event()

def connections():
    global looks
    if acceptor.paused:
        looks += 1
        if looks == 1:
            trio.lowlevel.add_instrument(steps)
        elif looks == 4:
            three_looks.set()
    return len(inside)

acceptor, steps = Acceptor(connections), Steps()

async def main():
    listeners = bind(["127.0.0.1:0"])
    async with trio.open_nursery() as nursery:
        await nursery.start(acceptor.run, listeners, lambda fd, *_: inside.append(fd))
        try:  # somebody else takes all the descriptors but five
            while True:
                leaked.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            for _ in range(5):
                os.close(leaked.pop())
        print(shown(listeners[0]), flush=True)
        await three_looks.wait()
        print(len(inside), steps.count < 20, flush=True)
        while leaked:
            os.close(leaked.pop())
        while acceptor.paused or len(inside) < 12:
            await trio.sleep(0.01)
        print(len(inside), flush=True)
        nursery.cancel_scope.cancel()

trio.run(main)
"""


def test_the_limit_is_raised_and_a_reserve_kept() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITS], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    first, second = map(json.loads, done.stdout.splitlines())
    assert first == [75, [200, 200], 150]
    assert second == [200, 200]


def test_a_gate_without_descriptors_pauses_says_so_and_recovers() -> None:
    with contextlib.ExitStack() as stack:
        gate = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", GATE], cwd=ROOT, stdout=subprocess.PIPE, text=True
            )
        )
        assert gate.stdout is not None
        host, port = gate.stdout.readline().strip().rsplit(":", 1)
        for _ in range(12):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=60))
        said, _ = gate.communicate(timeout=60)
    paused, full, resumed, recovered = said.splitlines()
    assert paused == "WARNING accepting paused connections=5 why='too many open files'"
    assert full == "5 True", "five were let in, and it did not spin"
    assert resumed.startswith("WARNING accepting resumed connections=")
    assert recovered == "12"
    assert gate.returncode == 0
