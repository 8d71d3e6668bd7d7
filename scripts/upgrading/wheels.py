"""Wheels of this tree, which differ in their version alone, each in an environment of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


def program(
    version: str, folder: Path, change: Callable[[Path], object] = lambda tree: None
) -> Path:
    """A `devgate` of that version, in that folder. What it depends on is lent by the environment
    that runs this. `change` is called with the tree of which its wheel is built."""
    tree, place = folder / f"tree-{version}", folder / f"venv-{version}"
    tree.mkdir()
    for name in ("devgate", "hatch_build.py", "pyproject.toml", "README.md", "LICENSE"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
            )
        else:
            shutil.copy(source, tree / name)
    about = tree / "devgate" / "__init__.py"
    text = about.read_text("utf-8")
    about.write_text(re.sub(r'(__version__ = )".*"', rf'\1"{version}"', text), "utf-8")
    change(tree)
    pip = (sys.executable, "-m", "pip", "--quiet", "--no-input")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, tree)
    [wheel] = folder.glob(f"devgate-{version}-*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", place)
    python = place / "bin" / "python"
    run(*pip, "--python", python, "install", "--no-deps", wheel)
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (own / "lent.pth").write_text("\n".join(sorted(lent)))
    return place / "bin" / "devgate"
