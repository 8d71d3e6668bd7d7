"""How the program that takes over is started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from devgate.errors import CallerError
from devgate.upgrade.program import start

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
