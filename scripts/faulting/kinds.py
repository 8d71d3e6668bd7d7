"""The faults of processes, clocks, limits and the log. Each function makes one and ends it."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from faulting.storm import Fault, Skip, Storm
from tests.faults.preload import Point

SECOND_SECONDS = 40.0  # until a second gateway has been refused, or the first one has ended
STOPS_WITHIN = 25.0  # seconds: drain, last words, replies, and the guard's 15
SECOND_SIGTERM = 8.0  # seconds after the second one: its 2, on a busy machine
HANGS = 6.0  # seconds without an answer to `status` while nothing but the log is stuck
COMMAND_LINE = 0.15  # seconds of CPU until `serve` itself begins; the server's imports come then
AWAY = 31 * 86400.0


def kill(storm: Storm) -> None:
    """kill -9, and sometimes again while it starts."""
    world, rng = storm.world, storm.rng
    world.kill()
    while rng.random() < 0.2:
        world.launch()
        time.sleep(rng.uniform(0.1, 0.9))
        world.kill()
    storm.relaunch()


def kill_point(storm: Storm) -> None:
    """The process kills itself before, in or after a write, an fsync or the send of a start."""
    rng = storm.rng
    points = list(Point)
    if storm.kind != "sqlite":
        points = [point for point in points if "SEND" in point.name]
    storm.faults.kill_at(rng.choice(points), rng.randint(1, 12), sending=b"QD")
    if storm.world.wait(10) is None:
        raise_if_dead(storm)
        storm.world.kill()
    storm.faults.clear()
    storm.relaunch()


def raise_if_dead(storm: Storm) -> None:
    if not storm.world.lives_on:
        storm.breach(f"it ended: {storm.world.words()}")


def freeze(storm: Storm) -> None:
    """SIGSTOP for 0.2 to 20 s; mostly short."""
    storm.world.signal(signal.SIGSTOP)
    time.sleep(min(20.0, 0.2 + storm.rng.expovariate(1 / 2.0)))
    storm.world.signal(signal.SIGCONT)


def terminate(storm: Storm) -> None:
    storm.world.signal(signal.SIGTERM)
    code = storm.world.wait(STOPS_WITHIN)
    if code is None:
        storm.breach(f"SIGTERM did not end it within {STOPS_WITHIN:.0f} s")
        storm.world.kill()
    elif code:
        storm.breach(f"SIGTERM ended it with {code}: {storm.world.words()}")
    storm.relaunch()


def terminate_twice(storm: Storm) -> None:
    storm.world.signal(signal.SIGTERM)
    time.sleep(storm.rng.uniform(0, 0.5))
    storm.world.signal(signal.SIGTERM)
    if storm.world.wait(SECOND_SIGTERM) is None:
        storm.breach(f"the second SIGTERM did not end it within {SECOND_SIGTERM:.0f} s")
        storm.world.kill()
    storm.relaunch()


def reload(storm: Storm) -> None:
    """SIGHUPs, with a configuration that is good, half written, wrong or gone."""
    file = storm.world.folder / "gateway.toml"
    good = file.read_text("utf-8")
    try:
        for _ in range(storm.rng.randint(3, 20)):
            text = storm.rng.choice([good, good[: len(good) // 2], "[nothing]\n", "", None])
            if text is None:
                file.unlink(missing_ok=True)
            else:
                file.write_text(text, "utf-8")
            storm.world.signal(signal.SIGHUP)
            time.sleep(storm.rng.uniform(0, 0.1))
    finally:
        file.write_text(good, "utf-8")
    storm.world.signal(signal.SIGHUP)


def reload_early(storm: Storm) -> None:
    """SIGHUP in the first moments of a start (F19), once the program itself is running: before
    that the interpreter reads the command line's modules, and no program can do anything."""
    world = storm.world
    world.kill()
    world.launch()
    ends = time.monotonic() + 10
    while world.lives_on and cpu_seconds(world.pid) < COMMAND_LINE and time.monotonic() < ends:
        time.sleep(0.005)
    for _ in range(8):
        world.signal(signal.SIGHUP)
        time.sleep(storm.rng.uniform(0.02, 0.12))


def cpu_seconds(pid: int) -> float:
    """What a process has used, which says how far it has come on a machine that is busy."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def clock_steps(storm: Storm) -> None:
    """The wall clock jumps while the gateway runs, and jumps back."""
    for _ in range(storm.rng.randint(1, 3)):
        step = storm.rng.choice([30, 3600, 86400, 3 * AWAY])
        storm.faults.clock(step * storm.rng.choice([-1, 1]))
        time.sleep(storm.rng.uniform(0.2, 2))
    storm.faults.clock(0)


def clock_over_restart(storm: Storm) -> None:
    """The gateway starts with a clock that is wrong, and later again with the right one (F4)."""
    world = storm.world
    for off in (storm.rng.choice([AWAY, 3 * AWAY, 12 * AWAY, -3600.0]), 0.0):
        world.signal(storm.rng.choice([signal.SIGKILL, signal.SIGTERM]))
        if world.wait(STOPS_WITHIN) is None:
            storm.breach("it does not stop")
            world.kill()
        storm.faults.clock(off)
        storm.relaunch()
        time.sleep(storm.rng.uniform(0.5, 3))


def log_stuck(storm: Storm) -> None:
    """Nobody reads the log (F8). Devices, starts and `status` must not wait for that."""
    reader = storm.world.reader
    assert reader is not None
    reader.reads.clear()
    try:
        ends = time.monotonic() + storm.rng.uniform(2, 8)
        while time.monotonic() < ends:
            if storm.world.status(HANGS) is None and storm.world.lives_on:
                storm.breach("it does not answer while nobody reads its log")
                break
            time.sleep(0.2)
    finally:
        reader.reads.set()


def descriptors(storm: Storm) -> None:
    """The process may open hardly any descriptor more."""
    pid = storm.world.pid
    used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    with limited(pid, resource.RLIMIT_NOFILE, used + storm.rng.randint(0, 4)):
        time.sleep(storm.rng.uniform(0.5, 4))


def idle_connections(storm: Storm) -> None:
    """Hundreds of connections to HTTP and the device door that say nothing (F14)."""
    with contextlib.ExitStack() as held:
        for port in (storm.world.http, storm.world.port):
            for _ in range(storm.rng.randint(50, 300)):
                with contextlib.suppress(OSError):
                    held.enter_context(socket.create_connection(("127.0.0.1", port), 1))
        time.sleep(storm.rng.uniform(0.5, 2))


def memory(storm: Storm) -> None:
    """The address space may hardly grow (F9)."""
    pid = storm.world.pid
    text = Path(f"/proc/{pid}/status").read_text()
    used = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmSize"))
    with limited(pid, resource.RLIMIT_AS, used * 1024 + storm.rng.randint(0, 4 << 20)):
        time.sleep(storm.rng.uniform(0.5, 3))


def threads(storm: Storm) -> None:
    """No thread can be started."""
    storm.faults.set(thread_errno=errno.EAGAIN, thread_faults=-1)
    time.sleep(storm.rng.uniform(0.5, 4))


def accepting(storm: Storm) -> None:
    """accept fails, for good or some times, at all doors or at that of the devices (F20)."""
    number = storm.rng.choice(
        [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ECONNABORTED, errno.EPERM, errno.EINVAL]
    )
    storm.faults.set(accept_port=storm.rng.choice([0, storm.world.port]), accept_errno=number,
                     accept_faults=storm.rng.choice([1, 20, -1]))  # fmt: skip
    time.sleep(storm.rng.uniform(0.3, 3))


def receiver_away(storm: Storm) -> None:
    """The receiver of webhooks is killed, or stands still."""
    storm.world.kill_receiver()
    time.sleep(storm.rng.uniform(0.2, 3))
    storm.world.begin_receiver()


@contextlib.contextmanager
def limited(pid: int, which: int, soft: int) -> Iterator[None]:
    try:
        before = resource.prlimit(pid, which)
        hard = before[1]
        resource.prlimit(pid, which, (soft, hard))
    except ProcessLookupError:
        yield
        return
    except PermissionError as err:
        raise Skip(f"prlimit is not allowed: {err.strerror}") from None
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, which, before)


def second_gateway(storm: Storm) -> None:
    """A second gateway on the same database: by another name, or without the lock (F1, F3)."""
    world, rng = storm.world, storm.rng
    config = (world.folder / "gateway.toml").read_text("utf-8")
    other = (
        config.replace(f':{world.port}"', f':{world.second_port}"')
        .replace("gateway.sock", "second.sock")
        .replace(f'listen = "127.0.0.1:{world.http}"', 'listen = ""')
    )
    link = world.database.with_name("second.db")
    lock = world.database.with_name("devgate.db.lock")
    if storm.kind == "sqlite":
        if rng.random() < 0.5:
            link.unlink(missing_ok=True)
            link.symlink_to(world.database)
            other = other.replace("devgate.db", "second.db")
        else:
            lock.unlink(missing_ok=True)
    elif storm.server is not None and rng.random() < 0.7:
        from faulting.databases import end_sessions

        end_sessions(storm)
    (world.folder / "second.toml").write_text(other, "utf-8")
    second = world.serve("second.toml")
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            second.wait(rng.uniform(2, 4))
        # A busy machine starts a process late: it is refused late, too.
        deadline = time.monotonic() + SECOND_SECONDS
        while second.poll() is None and world.lives_on and time.monotonic() < deadline:
            time.sleep(0.05)
        if second.poll() is None:
            storm.ended["second gateway took over"] += 1
            if world.lives_on:
                storm.breach("two gateways work with one database")
    finally:
        second.terminate()
        try:
            second.communicate(timeout=STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            second.kill()
            second.communicate()
        link.unlink(missing_ok=True)
        world.database.with_name("second.db.lock").unlink(missing_ok=True)


PROCESS = [
    Fault("kill -9", 8, kill),
    Fault("kill point", 10, kill_point),
    Fault("SIGSTOP", 5, freeze),
    Fault("SIGTERM", 4, terminate),
    Fault("SIGTERM twice", 3, terminate_twice),
    Fault("SIGHUP", 3, reload),
    Fault("SIGHUP at the start", 2, reload_early),
    Fault("clock steps", 3, clock_steps),
    Fault("clock wrong over a restart", 3, clock_over_restart),
    Fault("log not read", 3, log_stuck),
    Fault("no descriptors", 3, descriptors),
    Fault("idle connections", 2, idle_connections),
    Fault("no memory", 2, memory, may_end=True),
    Fault("no threads", 3, threads),
    Fault("accept fails", 3, accepting),
    Fault("webhook receiver away", 2, receiver_away),
    Fault("second gateway", 6, second_gateway, may_end=True),
]
