"""Single checks of `devgate doctor`, on files that stand for the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from devgate.config.load import load
from devgate.config.unused import unused
from devgate.doctor import system
from devgate.doctor.disk import kind_of
from devgate.doctor.finding import Severity, in_bytes

MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/data /srv/dev\\040gate nfs4 rw 0 0
tmpfs /srv/dev\\040gate/run tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/srv", "ext4"), ("/srv/dev gate", "nfs4"), ("/srv/dev gate/run/x", "tmpfs"),
     ("/srv/dev gatex", "ext4")],
)  # fmt: skip
def test_the_kind_of_a_file_system(folder: str, kind: str) -> None:
    assert kind_of(Path(folder), MOUNTS) == kind


def machine(folder: Path, **settings: int) -> Path:
    """A folder like /proc, with 1 GB of memory and these settings of the kernel."""
    (folder / "meminfo").write_text("MemTotal: 1000000 kB\n")
    for name, value in settings.items():
        file = folder / "sys" / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
    return folder


def test_a_kernel_that_is_too_small(tmp_path: Path) -> None:
    proc = machine(
        tmp_path, net__core__somaxconn=128, net__netfilter__nf_conntrack_max=65536,
        net__netfilter__nf_conntrack_count=100,
    )  # fmt: skip
    found = list(system.examine(150_000, None, proc))
    said = [one.message for one in found if one.severity is Severity.WARNING]
    assert any(line.startswith("net.core.somaxconn is 128") for line in said)
    assert any("65,536 connections at most" in line for line in said)
    assert any("this machine has 1.02 GB" in line for line in said)


def test_a_kernel_that_is_large_enough(tmp_path: Path) -> None:
    proc = machine(tmp_path, net__core__somaxconn=4096)
    found = [one for one in system.examine(10, None, proc) if one.check in ("kernel", "memory")]
    assert [one.severity for one in found] == [Severity.OK, Severity.OK]


def test_a_key_with_its_default_is_not_unused() -> None:
    environment = {"DEVGATE_HTTP__METRICS_PUBLIC": "false", "DEVGATE_CLUSTER__PLAIN": "true"}
    assert list(unused(load(None, environment))) == [
        "cluster.plain has no effect: cluster.node is empty: it works alone"
    ]


def test_bytes_as_people_read_them() -> None:
    assert [in_bytes(n) for n in (0, 999, 1500, 25.3e9, 2e15)] == [
        "0 bytes", "999 bytes", "1.5 kB", "25.3 GB", "2e+03 TB",
    ]  # fmt: skip
