"""What the build adds to the package: the version says which commit it was made of.

The commit is taken from `DEVGATE_COMMIT`, or from git where this is a clone of the repository. A
source distribution carries it in `devgate/_build.py`, where a wheel that is built of it finds it.
An editable installation has the plain version: its commit changes under it.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
BUILT = ROOT / "devgate" / "_build.py"
VERSION = re.compile(r'^(?:VERSION|__version__) = "(.+)"$', re.MULTILINE)
COMMIT = re.compile(r"[0-9a-f]{7,40}(\.dirty)?", re.ASCII)


def version() -> str:
    """`0.1.0+g307ff5512345`, with `.dirty` if files were changed; without a commit `0.1.0`."""
    if BUILT.exists() and (found := VERSION.search(BUILT.read_text())):
        return found[1]
    plain = VERSION.search((ROOT / "devgate/__init__.py").read_text())
    assert plain, "devgate/__init__.py has the version"
    commit = commit_of()
    return f"{plain[1]}+g{commit}" if commit else plain[1]


def commit_of() -> str:
    """The commit; nothing where it is not known."""
    given = os.environ.get("DEVGATE_COMMIT", "")
    if given:
        if not COMMIT.fullmatch(given):
            raise ValueError(f"DEVGATE_COMMIT: a commit's hexadecimal digits expected: {given!r}")
        return given
    if not (ROOT / ".git").exists():
        return ""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return commit + (".dirty" if _git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""  # no git here, or the clone is somebody else's


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


class WithCommit(BuildHookInterface[Any]):
    """Puts `devgate/_build.py` into what is built, and leaves the working tree as it is."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling ahead of each build; `version` is its kind."""
        if version == "editable" or BUILT.exists():
            return
        with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as file:
            file.write(f'"""Written by the build."""\n\nVERSION = "{self.metadata.version}"\n')
        self._file = file.name
        build_data["force_include"][file.name] = "devgate/_build.py"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called behind it."""
        if file := getattr(self, "_file", None):
            os.unlink(file)
