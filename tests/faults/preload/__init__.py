"""Faults of the operating system for a process that does not know of them.

A small C library, built on demand and put before the C library by LD_PRELOAD, makes system calls
fail, hang or lie, moves the clocks, or kills the process at a chosen call. It is controlled
while the process runs, through a page of memory that both share:

    with preloaded(folder / "control", path="devgate.db") as faults:
        process = subprocess.Popen([...], env={**os.environ, **faults.environment()})
        faults.set(fsync_errno=errno.EIO, fsync_faults=-1)
        ...
        faults.clear()

`faults.h` lists the fields. `path` limits faults of files to those whose path holds that text.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import mmap
import os
import re
import shutil
import struct
import subprocess
import tempfile
import weakref
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

SOURCE = Path(__file__).parent
PAGE = 4096
PATH_AT, PATH_SIZE = 2048, 256
BYTES_AT, BYTES_SIZE = 2304, 64

FIELDS = re.findall(r"^\s+F\((\w+)\)", (SOURCE / "faults.h").read_text("ascii"), re.MULTILINE)
# What clear() sets to zero: not the clocks, the record and the counts.
CLOCKS = ["clock_offset_us", "steady_offset_us"]
FAULTS = [name for name in FIELDS[: FIELDS.index("recording")] if name not in CLOCKS]


class Point(IntEnum):
    """Where the process kills itself, once `kill_count` is down to 0."""

    BEFORE_FSYNC = 1
    AFTER_FSYNC = 2
    BEFORE_PWRITE = 3
    AMID_PWRITE = 4  # half of it is written
    AFTER_PWRITE = 5
    BEFORE_SEND = 6
    AMID_SEND = 7  # half of it is sent
    AFTER_SEND = 8


class Faults:
    """One page of faults. Any number of processes may share it."""

    def __init__(self, control: Path, *, path: str = "", record: Path | None = None) -> None:
        control.write_bytes(bytes(PAGE))
        self._control = control
        self._record = record
        with control.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), PAGE)
        self._page[PATH_AT : PATH_AT + PATH_SIZE] = path.encode().ljust(PATH_SIZE, b"\0")

    def environment(self) -> dict[str, str]:
        """What a process needs in its environment; raises OSError where gcc is missing."""
        named = {"LD_PRELOAD": str(library()), "FAULTS_CONTROL": str(self._control)}
        if self._record is not None:
            named["FAULTS_RECORD"] = str(self._record)
        return named

    def set(self, **fields: int) -> None:
        """Set fields in the order given: write `fsync_errno` before `fsync_faults`."""
        for name, value in fields.items():
            struct.pack_into("q", self._page, 8 * FIELDS.index(name), value)

    def get(self, field: str) -> int:
        value: int = struct.unpack_from("q", self._page, 8 * FIELDS.index(field))[0]
        return value

    def clear(self) -> None:
        """No fault any more. The clocks stay where they are."""
        self.set(**dict.fromkeys(FAULTS, 0))

    def clock(self, seconds: float) -> None:
        """Move the wall clock: so far from the real one from now on."""
        self.set(clock_offset_us=round(seconds * 1e6))

    def elapse(self, seconds: float) -> None:
        """Let time pass in a moment: all clocks are ahead by so much more from now on.

        A process that waits in the kernel (epoll) looks at its clock again when something wakes
        it: a byte, a request, or SIGCONT after SIGSTOP.
        """
        self.set(**{name: self.get(name) + round(seconds * 1e6) for name in CLOCKS})

    def kill_at(
        self, point: Point, nth: int = 1, *, sending: bytes = b"", stops: bool = False
    ) -> None:
        """Let the process kill itself when it comes to `point` for the nth time from now, or
        (`stops`) freeze until it gets SIGCONT. Not at AMID_SEND: it would send the rest again.

        Of sends, those count whose bytes hold `sending`; an empty one matches all.
        """
        assert not (stops and point in (Point.AMID_SEND, Point.AMID_PWRITE))
        self.set(kill_point=0, kill_stops=stops)
        self._page[BYTES_AT : BYTES_AT + BYTES_SIZE] = sending.ljust(BYTES_SIZE, b"\0")
        self.set(kill_count=nth, kill_point=point)

    def close(self) -> None:
        self._page.close()


@contextlib.contextmanager
def preloaded(control: Path, *, path: str = "", record: Path | None = None) -> Iterator[Faults]:
    """A page of faults for the length of the block. With `record`, operations on matching files
    go to that file while the field `recording` is set."""
    faults = Faults(control, path=path, record=record)
    try:
        yield faults
    finally:
        faults.close()


@functools.cache
def library() -> Path:
    """The built library; raises OSError where gcc is missing or fails."""
    gcc = shutil.which("gcc") or shutil.which("cc")
    if gcc is None:
        raise OSError(
            errno.ENOENT, "there is no C compiler (Debian: apt-get install gcc libc6-dev)"
        )
    folder = tempfile.mkdtemp(prefix="faults-")
    weakref.finalize(library, shutil.rmtree, folder, ignore_errors=True)
    built = Path(folder) / "faults.so"
    done = subprocess.run(
        [gcc, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
         "-o", str(built), str(SOURCE / "faults.c"), "-ldl", "-lpthread"],
        env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise OSError(errno.ENOEXEC, f"the preload library cannot be built: {done.stderr.strip()}")
    return built
