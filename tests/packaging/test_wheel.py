"""The package as others install it: one wheel, built once, in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    """The standard output of a command that must succeed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def pip(*arguments: str | Path) -> Sequence[str | Path]:
    return (sys.executable, "-m", "pip", "--quiet", "--no-input", *arguments)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # Without isolation: hatchling is among the tests' requirements and nothing is fetched.
    build = pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    run(*build, cwd=folder)
    [built] = folder.glob("devgate-*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment whose devgate is the wheel's.

    What devgate requires is lent by the environment that runs this test: a `.pth` file adds that
    one's folder behind its own, and does not carry on to the editable devgate in there.
    """
    place = tmp_path_factory.mktemp("place with blank") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", place, cwd=place.parent)
    python = place / "bin" / "python"
    run(*pip("--python", python, "install", "--no-deps", wheel), cwd=place.parent)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(run(python, "-c", code, cwd=place.parent).strip())
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (own / "lent.pth").write_text("\n".join(sorted(lent)))
    return python


def test_the_wheel_carries_every_file_of_the_package(wheel: Path) -> None:
    here = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "devgate").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        there = {name for name in archive.namelist() if name.startswith("devgate/")}
    assert there == here | {"devgate/_build.py"}
    assert "devgate/py.typed" in there


def test_the_wheel_carries_its_license_and_its_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        texts = {name.rpartition("/")[2]: archive.read(name) for name in archive.namelist()}
    assert texts["LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert b"devgate = devgate.cli.main:cli" in texts["entry_points.txt"]


def test_the_command_of_an_installed_wheel_runs(python: Path, tmp_path: Path) -> None:
    command = python.parent / "devgate"
    assert "serve" in run(command, "--help", cwd=tmp_path)
    code = "import devgate; print(devgate.__version__, devgate.__file__)"
    version, place = run(python, "-c", code, cwd=tmp_path).strip().split(" ", 1)
    assert Path(place).is_relative_to(python.parents[1]), "the wheel's own, not the repository's"
    assert version in run(command, "--version", cwd=tmp_path)
    commit = run("git", "rev-parse", "--short=12", "HEAD", cwd=ROOT).strip()
    assert f"+g{commit}" in version, "it says which commit it was made of"


def test_an_installed_wheel_makes_its_database(python: Path, tmp_path: Path) -> None:
    code = "from devgate.store.opening import open_database as o; o('sqlite:///new.db').close()"
    run(python, "-c", code, cwd=tmp_path)
    assert (tmp_path / "new.db").stat().st_size > 0
