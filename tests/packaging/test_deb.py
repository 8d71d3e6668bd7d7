"""The Debian package in a fresh Debian: scripts/deb-test."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("debootstrap"), reason="no debootstrap")
def test_it_is_installed_upgraded_removed_and_purged() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "deb-test"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "all is well"
