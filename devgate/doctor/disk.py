"""Checks the disk of SQLite's file: free space, file system, and the time of an fsync."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from pathlib import Path

from devgate.doctor.finding import Finding, Findings, error, in_bytes, ok, warning

CHECK = "disk"
LITTLE, TOO_LITTLE = 2_000_000_000, 200_000_000  # bytes
SYNCS = 60
SLOW, TOO_SLOW = 0.020, 0.200  # seconds; a start waits for one fsync before it is sent
# SQLite's log needs shared memory and locks, which these do not provide between machines.
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs"})
READ_ONLY = "its file system is read-only: mount it writable"
VOLATILE = frozenset({"tmpfs", "ramfs"})


def examine(file: Path, mounts: Path = Path("/proc/self/mounts")) -> Findings:
    """Problems of the disk of this database file, which need not exist yet."""
    # The gateway makes folders that are missing.
    folder = next(one for one in file.absolute().parents if one.is_dir())
    yield _kind(folder, mounts)
    yield _room(folder)
    yield _speed(folder)


def _kind(folder: Path, mounts: Path) -> Finding:
    kind = kind_of(folder.resolve(), mounts.read_text())
    if kind in NETWORK:
        return error(
            CHECK,
            f"{folder} is on a network file system ({kind}): SQLite loses data there",
            "put the database on a local disk, or use PostgreSQL",
        )
    if kind in VOLATILE:
        return error(
            CHECK,
            f"{folder} is in memory ({kind}): a power cut loses every order and key",
            "put the database on a real disk",
        )
    return ok(CHECK, f"{folder} is on {kind or 'a file system of unknown kind'}")


def kind_of(folder: Path, mounts: str) -> str:
    """The kind of the file system that a folder is on, by the text of /proc/self/mounts."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        _, place, name, *_ = line.split(" ")
        place = place.encode().decode("unicode_escape")  # a blank is \\040
        if folder.is_relative_to(place) and len(place) >= best:
            best, kind = len(place), name
    return kind


def _room(folder: Path) -> Finding:
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    words = f"{in_bytes(free)} are free in {folder}"
    if free < TOO_LITTLE or (found.f_files and found.f_favail < 100):
        return error(CHECK, f"{words}: no start is accepted once it is full", "make room now")
    if free < LITTLE:
        return warning(CHECK, words, "make room, or set [store] max_size and keep_events")
    return ok(CHECK, words)


def _speed(folder: Path) -> Finding:
    try:
        p99 = _slowest_sync(folder)
    except OSError as err:
        return error(
            CHECK,
            f"nothing can be written into {folder}: {err.strerror}",
            READ_ONLY if err.errno == errno.EROFS else "see its owner and mode",
        )
    words = f"the slowest of {SYNCS} fsyncs took {p99 * 1e3:.1f} ms"
    if p99 > TOO_SLOW:
        return error(
            CHECK, f"{words}: each start waits for one", "use a faster disk, or one with a cache "
            "that outlives a power cut",
        )  # fmt: skip
    if p99 > SLOW:
        return warning(CHECK, f"{words}: each start waits for one", "use a faster disk")
    return ok(CHECK, words)


def _slowest_sync(folder: Path) -> float:
    """Seconds, of SYNCS writes of one page in a file of its own."""
    worst = 0.0
    with tempfile.TemporaryFile(dir=folder, prefix=".devgate-doctor-") as file:
        for _ in range(SYNCS):
            os.write(file.fileno(), bytes(4096))
            began = time.perf_counter()
            os.fsync(file.fileno())
            worst = max(worst, time.perf_counter() - began)
    return worst
