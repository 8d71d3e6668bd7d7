"""Single checks of `devgate doctor`, on files that stand for the kernel's."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from devgate.config.load import load
from devgate.config.settings import Settings
from devgate.config.unused import unused
from devgate.doctor import backups, database, disk, doors, system
from devgate.doctor.disk import kind_of
from devgate.doctor.finding import Severity, in_bytes
from devgate.doctor.owners import READ, WRITE, GatewayUser
from devgate.store.health import look
from devgate.store.server_health import Archive, Server, Slot
from tests.stores import with_tables

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


def test_a_folder_that_the_gateway_will_make_is_no_fault(tmp_path: Path) -> None:
    found = list(disk.examine(tmp_path / "data" / "more" / "devgate.db"))
    assert [one.message for one in found if str(tmp_path / "data") in one.message] == []
    assert any(f"are free in {tmp_path}" in one.message for one in found)


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


def test_a_service_to_which_the_kernel_hides_itself_is_looked_at_nevertheless(
    tmp_path: Path,
) -> None:
    """ProcSubset=pid of the unit: the gateway examines itself for its page of settings."""
    found = {one.check: one for one in system.examine(1_000, None, tmp_path)}
    assert found.keys() == {"descriptors", "memory", "kernel", "clock"}
    assert "not to be seen from here" in found["kernel"].message


def test_a_firewall_that_forgets_and_few_files(tmp_path: Path) -> None:
    proc = machine(
        tmp_path, fs__file_max=1000, net__netfilter__nf_conntrack_tcp_timeout_established=60
    )
    (tmp_path / "sys" / "fs" / "file_max").rename(tmp_path / "sys" / "fs" / "file-max")
    found = list(system.examine(1_000, None, proc))
    said = [one.message for one in found if one.check == "kernel"]
    assert said[0] == "fs.file-max is 1,000, and 1,000 devices are known"
    assert said[1].startswith("the firewall forgets a connection after 60 s")


def test_who_may_do_what_with_a_file(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.touch()
    file.chmod(0o640)
    found = file.stat()
    stranger, member = (
        GatewayUser(found.st_uid + 1, frozenset()),
        GatewayUser(found.st_uid + 1, frozenset({9})),
    )
    in_group = os.stat_result((*found[:5], 9, *found[6:]))
    assert [GatewayUser(0, frozenset()).may(found, what) for what in (READ, WRITE)] == [True, True]
    if found.st_uid:
        assert GatewayUser(found.st_uid, frozenset()).may(found, WRITE)
    assert [stranger.may(found, what) for what in (READ, WRITE)] == [False, False]
    assert [member.may(in_group, what) for what in (READ, WRITE)] == [True, False]


def server(**changes: Any) -> Server:
    sound = Server(0.0, 0.1, True, 1_000, (10, 97), Archive(time.time(), None, None), [])
    return sound._replace(**changes)


@pytest.mark.parametrize(
    ("changes", "severity", "words"),
    [
        ({"ahead": -4.0}, Severity.WARNING, "clock is 4.0 s behind this machine's"),
        ({"autovacuum": False}, Severity.WARNING, "autovacuum is off"),
        ({"age": 1_200_000_000}, Severity.WARNING, "1,200,000,000 transactions"),
        ({"age": 1_800_000_000}, Severity.ERROR, "1,800,000,000 transactions"),
        ({"connections": (95, 97)}, Severity.WARNING, "95 of 97 connections are taken"),
        ({"slots": [Slot("gone", 3e9)]}, Severity.WARNING, "slot gone, which keeps 3 GB"),
        ({}, Severity.OK, ""),
    ],
)
def test_a_server_whose_end_comes_slowly(
    changes: dict[str, Any], severity: Severity, words: str
) -> None:
    found = list(database._server(server(**changes)))
    if severity is Severity.OK:
        assert found == []
    else:
        assert [one.severity for one in found] == [severity]
        assert words in found[0].message


def test_who_follows_the_database_has_a_backup(tmp_path: Path) -> None:
    """Without a folder of backups, and without anybody who copies, that is a warning."""
    url = f"sqlite:///{tmp_path}/x.db"
    settings = Settings.model_validate({"store": {"url": url}})
    with_tables(url)
    found = look(url)
    assert [one.severity for one in backups.examine(settings, found)] == [Severity.OK], "it is new"
    used = found._replace(events=1)
    assert [one.severity for one in backups.examine(settings, used)] == [Severity.WARNING]
    (tmp_path / ".x.db-litestream").mkdir()
    assert [one.message for one in backups.examine(settings, used)] == [
        f"Litestream follows {tmp_path}/x.db"
    ]
    for archive, severity in (
        (Archive(None, None, None), Severity.WARNING),
        (Archive(1.0, None, None), Severity.OK),
        (Archive(1.0, 2.0, "0001"), Severity.ERROR),
    ):
        elsewhere = used._replace(postgresql=server(archive=archive))
        assert [one.severity for one in backups.examine(settings, elsewhere)] == [severity]


def test_a_socket_whose_group_cannot_reach_it(tmp_path: Path) -> None:
    path = tmp_path / "devgate.sock"
    path.touch()
    path.chmod(0o660)
    for folder, mode, severity in (
        (0o755, 0o660, Severity.OK),
        (0o710, 0o660, Severity.OK),
        (0o700, 0o660, Severity.WARNING),
        (0o700, 0o600, Severity.WARNING),
    ):
        tmp_path.chmod(folder)
        found = list(doors.socket_file(str(path), mode))
        assert [one.severity for one in found] == [severity], (folder, mode)


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
