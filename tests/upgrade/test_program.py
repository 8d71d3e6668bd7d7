"""How the program that takes over is started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from devgate.errors import CallerError
from devgate.upgrade.program import must_be_trusted, start

SCRIPT = """\
import os, sys, trio
from devgate.upgrade.program import start

async def main():
    sys.argv = ["devgate", "-c", "exec sleep 600"]
    program = await start("/bin/sh")
    with open(f"/proc/{program.pid}/stat") as file:
        parent = int(file.read().rpartition(")")[2].split()[1])
    await program.kill()
    await program.kill()
    assert program.sock.fileno() == -1
    print("child" if parent == os.getpid() else "adopted")

trio.run(main)
"""


def test_it_is_no_child_of_the_process_that_ends() -> None:
    """systemd kills a service at once, if its main process is another process's child."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("adopted\n", "")


async def test_what_cannot_be_run_is_said(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/nowhere/python\n")
    program.chmod(0o700)
    with pytest.raises(CallerError, match=r"cannot be run: .*No such file"):
        await start(str(program))


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """One in a folder of a folder, that nobody else may change."""
    found = tmp_path / "outer" / "inner" / "devgate"
    found.parent.mkdir(parents=True)
    found.write_text("#!/bin/sh\n")
    for place in (found, found.parent, found.parents[1]):
        place.chmod(0o755)
    must_be_trusted(str(found))
    return found


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_whoever_could_replace_a_program_is_not_trusted(
    program: Path, place: int, mode: int
) -> None:
    changeable = (program, *program.parents)[place]
    changeable.chmod(mode)
    with pytest.raises(CallerError, match=f"program: {changeable} can be changed by others"):
        must_be_trusted(str(program))
    # A folder in which each has his own, as /tmp is, is no danger; a file has no such thing.
    changeable.chmod(mode | 0o1000)
    if place:
        must_be_trusted(str(program))
    else:
        with pytest.raises(CallerError, match="can be changed by others"):
            must_be_trusted(str(program))


def test_a_link_is_trusted_as_its_folder_is(program: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    link, second = shared / "link", tmp_path / "second"
    link.symlink_to(program)
    second.symlink_to(Path("shared", "link"))
    shared.chmod(0o755)
    must_be_trusted(str(link))
    must_be_trusted(str(second))
    shared.chmod(0o777)
    for one in (link, second):
        with pytest.raises(CallerError, match=f"{shared} can be changed by others"):
            must_be_trusted(str(one))
    shared.chmod(0o755)
    program.unlink()
    program.symlink_to(link)
    with pytest.raises(CallerError, match="Too many levels of symbolic links"):
        must_be_trusted(str(link))
