"""A gateway that counts what it reads: `python -m benchmark.hostile.counted FILE ARGUMENTS...`.

It is `devgate ARGUMENTS...` of whichever tree is on the path, and adds to the Tally in FILE. What
devices send is not counted here: it would make the hot path slower, and the kernel knows it.
"""

from __future__ import annotations

import runpy
import socket
import sys
from pathlib import Path
from time import thread_time_ns
from typing import Any

from benchmark.hostile.tally import Count, Tally


def count(tally: Tally) -> None:
    """Count what sockets read, and frames of HTTP/2. To be called before trio is imported."""
    recv, add = socket.socket.recv, tally.add

    def counted_recv(self: socket.socket, *args: Any) -> bytes:
        data = recv(self, *args)
        add(Count.READ, len(data))
        return data

    socket.socket.recv = counted_recv  # type: ignore[assignment, method-assign]

    from h2.connection import H2Connection

    work_off = H2Connection._receive_frame

    def counted_work_off(self: H2Connection, frame: Any) -> Any:
        add(Count.FRAMES)
        return work_off(self, frame)

    H2Connection._receive_frame = counted_work_off  # type: ignore[method-assign]


def measure_turns(tally: Tally) -> None:
    """Note how much CPU each turn of trio's loop takes, from one look at the sockets to the next.

    CPU, because a machine that has other work makes each of them longer on the clock.
    """
    import trio

    class Turns(trio.abc.Instrument):
        began = 0

        def before_io_wait(self, timeout: float) -> None:
            if self.began:
                tally.turn((thread_time_ns() - self.began) / 1000)

        def after_io_wait(self, timeout: float) -> None:
            self.began = thread_time_ns()

    plain_run = trio.run

    def run(*args: Any, **options: Any) -> Any:
        return plain_run(*args, instruments=[Turns()], **options)

    trio.run = run  # type: ignore[assignment]


if __name__ == "__main__":
    shared = Tally(Path(sys.argv[1]))
    count(shared)
    measure_turns(shared)
    sys.argv[:2] = ["devgate"]
    runpy.run_module("devgate", run_name="__main__", alter_sys=True)
