"""The machine: descriptors, memory, the kernel's network settings, the clock."""

from __future__ import annotations

import ctypes
import resource
from pathlib import Path

from devgate.doctor.finding import Finding, Findings, error, in_bytes, ok, warning
from devgate.doctor.running import RunningGateway
from devgate.net.limits import budget

MIN_BACKLOG = 1024  # net.core.somaxconn below it drops connections when a whole fleet reconnects
# Memory of a connected device: about 2 KB in the gateway (`scripts/bench --quick`), and about 4.5
# KB in the kernel.
DEVICE_BYTES = 7_000
CONNTRACK_SHARE = 0.8
FORGETS_SECONDS = 180  # three heartbeats
UNSYNCHRONISED = 0x40  # STA_UNSYNC of adjtimex(2)
PROC = Path("/proc")


def examine(devices: int, running: RunningGateway | None, proc: Path = PROC) -> Findings:
    """Problems of this machine for a fleet of `devices` known devices."""
    yield _descriptors(devices, running)
    yield _memory(devices, proc)
    yield from _kernel(devices, proc)
    yield _clock()


def _descriptors(devices: int, running: RunningGateway | None) -> Finding:
    limit = running.descriptors() if running else None
    whose = "the gateway's limit"
    if limit is None:
        limit, whose = resource.getrlimit(resource.RLIMIT_NOFILE)[1], "this user's limit"
    room = budget(None if limit == resource.RLIM_INFINITY else limit).devices
    words = f"{whose} of {limit:,} open files is enough for {room:,} devices"
    if devices > room:
        return error(
            "descriptors",
            f"{words}, and {devices:,} are known: the rest cannot connect",
            "set LimitNOFILE= in the systemd unit to at least twice the number of devices",
        )
    if devices > room * 0.8:
        return warning(
            "descriptors",
            f"{words}, and {devices:,} are known already",
            "set LimitNOFILE= in the systemd unit to at least twice the number of devices",
        )
    return ok("descriptors", words)


def _memory(devices: int, proc: Path) -> Finding:
    total, need = 0, devices * DEVICE_BYTES
    try:
        lines = (proc / "meminfo").read_text().splitlines()
    except OSError:  # the unit's ProcSubset=pid hides it from the gateway itself
        return ok("memory", f"{devices:,} devices take some {in_bytes(need)}")
    for line in lines:
        if line.startswith("MemTotal:"):
            total = int(line.split()[1]) * 1024
    if total and need > total * 0.7:
        return warning(
            "memory",
            f"{devices:,} connected devices take some {in_bytes(need)}, and this machine has "
            f"{in_bytes(total)}",
            "give it more memory, or run several nodes (docs/cluster.md)",
        )
    return ok("memory", f"{in_bytes(total)}; {devices:,} devices take some {in_bytes(need)}")


def _kernel(devices: int, proc: Path) -> Findings:
    if not (proc / "sys").exists():  # hidden, too
        yield ok("kernel", "its settings are not to be seen from here: `devgate doctor` as root")
        return
    found = list(_kernel_faults(devices, proc))
    yield from found or [
        ok("kernel", "its settings suit this fleet; devgate sets keepalive by itself")
    ]


def _kernel_faults(devices: int, proc: Path) -> Findings:
    for name in ("net.core.somaxconn", "net.ipv4.tcp_max_syn_backlog"):
        value = _setting(proc, name)
        if value is not None and value < MIN_BACKLOG:
            yield warning(
                "kernel",
                f"{name} is {value}: connections are dropped when all devices come back at once",
                f"sysctl -w {name}=4096, and write it into /etc/sysctl.d/devgate.conf",
            )
    for name in ("fs.file-max", "fs.nr_open"):
        value = _setting(proc, name)
        if value is not None and value < 2 * devices:
            yield warning(
                "kernel",
                f"{name} is {value:,}, and {devices:,} devices are known",
                f"sysctl -w {name}={max(1_048_576, 4 * devices)}",
            )
    forgets = _setting(proc, "net.netfilter.nf_conntrack_tcp_timeout_established")
    if forgets is not None and forgets < FORGETS_SECONDS:
        yield warning(
            "kernel",
            f"the firewall forgets a connection after {forgets} s without a word "
            "(nf_conntrack_tcp_timeout_established): devices are silent for 55 s, and an answer "
            "may be lost",
            "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=7200",
        )
    max_tracked = _setting(proc, "net.netfilter.nf_conntrack_max")
    now = _setting(proc, "net.netfilter.nf_conntrack_count") or 0
    if max_tracked is not None and max(now, devices) > max_tracked * CONNTRACK_SHARE:
        yield warning(
            "kernel",
            f"the firewall follows {max_tracked:,} connections at most (nf_conntrack_max); "
            f"{now:,} are open, and {devices:,} devices are known: further ones are dropped",
            f"sysctl -w net.netfilter.nf_conntrack_max={max(262_144, 4 * devices)}",
        )


def _setting(proc: Path, name: str) -> int | None:
    try:
        return int((proc / "sys" / name.replace(".", "/")).read_text())
    except (OSError, ValueError):
        return None  # this kernel has none, or its module is not loaded


class _Timex(ctypes.Structure):
    """The head of the kernel's `struct timex`; the other fields are not used."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def _clock() -> Finding:
    now = _Timex()
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(now)) < 0:
        return warning("clock", "whether it is synchronised cannot be read", "timedatectl status")
    if now.status & UNSYNCHRONISED:
        return warning(
            "clock",
            "it is not synchronised: the times of orders, and when they expire, may be wrong",
            "install chrony or turn systemd-timesyncd on: timedatectl set-ntp true",
        )
    return ok("clock", f"it is synchronised, to {now.maxerror / 1000:.0f} ms at worst")
