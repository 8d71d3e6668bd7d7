"""What every file of the repository keeps to."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(p for p in (*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run") if p.is_file())

# Built from pieces, so that this file does not find itself.
MACHINE_PATH = re.compile("(?<![A-Za-z0-9_.~-])/" + "(?:work|home|root|Users)/[A-Za-z0-9._-]+")
REGISTRY = re.compile(
    "|".join(
        host.replace(" ", r"\.")
        for host in (
            "pypi org",
            "pythonhosted org",
            "registry npmjs org",
            "deb debian org",
            "security debian org",
            "ftp debian org",
            "proxy golang org",
        )
    )
)


def tracked() -> list[Path]:
    """Every file that git keeps or would keep."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: nothing says which files belong to the repository")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    paths = [ROOT / os.fsdecode(name) for name in listed.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def test_what_catches_everything_raises_it_again() -> None:
    """A cancellation and Ctrl-C are BaseExceptions: whoever cleans up behind one lets it go on."""
    handlers = {
        f"{path.relative_to(ROOT)}:{node.lineno}": node.body[-1]
        for path in (ROOT / "devgate").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or "BaseException" in ast.unparse(node.type))
    }
    assert handlers
    swallowed = [
        place
        for place, last in handlers.items()
        if not (isinstance(last, ast.Raise) and last.exc is None)
    ]
    assert swallowed == []


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY], ids=["path", "registry"])
def test_no_file_names_one_machine_or_a_registry(pattern: re.Pattern[str]) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked()
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY], ids=["path", "registry"])
def test_the_search_finds_what_it_looks_for(pattern: re.Pattern[str]) -> None:
    lines = ["cd /" + "home/someone/devgate", "https://" + "pypi" + ".org/simple"]
    assert [bool(pattern.search(line)) for line in lines].count(True) == 1


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_sound_shell(script: Path) -> None:
    first = script.read_text("utf-8").partition("\n")[0]
    if "bash" not in first:
        return  # in a language that the other checks read
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_can_be_run_as_they_are(script: Path) -> None:
    starts = script.read_bytes().startswith(b"#!")
    assert os.access(script, os.X_OK) == starts, "a script has #! and x, what is sourced neither"


def test_ci_runs_what_a_developer_runs() -> None:
    lines = [
        line
        for line in (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert lines == ['exec "$(dirname "$0")/../scripts/test"']


@pytest.mark.parametrize("name", ["deb", "deb-test", "image-test", "lock", "sbom", "test"])
def test_help_of_a_shell_script_is_the_comment_at_its_top(name: str) -> None:
    """Those in Python have argparse; these would take --help for a folder, or begin to work."""
    script = ROOT / "scripts" / name
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    comment = script.read_text("utf-8").partition("\nset -e")[0].splitlines()[1:]
    assert done.stdout.splitlines() == [
        line.removeprefix("#").removeprefix(" ") for line in comment
    ]


@pytest.mark.parametrize("name", ["deb", "deb-test", "image-test", "lock", "sbom"])
def test_a_shell_script_refuses_an_option_that_it_does_not_have(name: str) -> None:
    done = subprocess.run(
        [ROOT / "scripts" / name, "--bogus"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{name}: there is no option --bogus; see --help.\n"
