"""What the scripts install is locked: every file of every package by its hash."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import tomli

ROOT = Path(__file__).parents[2]
LOCKS = ("serve", "dev")
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)", re.MULTILINE)


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def text_of(lock: str) -> str:
    return (ROOT / "requirements" / f"{lock}.txt").read_text("utf-8")


def pins(lock: str) -> dict[str, str]:
    return {plain(name): version for name, version in PIN.findall(text_of(lock))}


def named(requirements: list[str]) -> dict[str, tuple[int, ...]]:
    """Names, and the least version that each says."""
    found = {}
    for one in requirements:
        match = re.match(r"([A-Za-z0-9._-]+)[^>]*(?:>=([0-9.]+))?", one)
        assert match, one
        found[plain(match[1])] = tuple(map(int, match[2].split("."))) if match[2] else (0,)
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_locked_with_hashes(lock: str) -> None:
    """M9: 21 open ranges came onto the production machine, without a hash."""
    project = tomli.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = named(project["dependencies"])
    if lock == "dev":
        wanted |= named(project["optional-dependencies"]["dev"])
    found = pins(lock)
    for name, least in wanted.items():
        assert name in found, f"{name} is missing: scripts/lock"
        numbers = tuple(int(part) for part in re.findall(r"\d+", found[name])[: len(least)])
        assert numbers >= least, f"{name} {found[name]} is below pyproject.toml: scripts/lock"
    assert {"hatchling", "editables"} <= set(found), "the build installs nothing of its own"
    for entry in re.split(r"^(?=\S+==)", text_of(lock), flags=re.MULTILINE)[1:]:
        assert entry.count("--hash=sha256:") >= 1, entry.splitlines()[0]


def test_both_locks_agree_and_name_no_host() -> None:
    """M9: what was tested is what serves. Which index the files come from is the machine's."""
    serve, dev = pins("serve"), pins("dev")
    assert {name: dev.get(name) for name in serve} == serve
    for lock in LOCKS:
        assert not re.search(r"://|--index-url|--extra-index-url", text_of(lock))


def test_the_scripts_install_from_it_alone() -> None:
    """M9."""
    script = (ROOT / "scripts" / "common.sh").read_text("utf-8")
    installs = [line for line in script.splitlines() if "${pip[@]}" in line]
    assert len(installs) == 2
    assert "--require-hashes" in installs[0]
    assert "--no-deps --no-build-isolation" in installs[1]


def test_the_bill_of_materials_has_every_package() -> None:
    """M9: CycloneDX, from the lock."""
    if shutil.which("cyclonedx-py") is None and not (ROOT / ".venv/bin/cyclonedx-py").exists():
        pytest.skip("cyclonedx-py is not installed (scripts/test installs it)")
    program = shutil.which("cyclonedx-py") or str(ROOT / ".venv/bin/cyclonedx-py")
    done = subprocess.run(
        [program, "requirements", "--output-reproducible", "--pyproject", "pyproject.toml",
         "requirements/serve.txt"],
        cwd=ROOT, env={**os.environ, "PYTHONWARNINGS": "ignore"}, capture_output=True, check=True,
    )  # fmt: skip
    bill = json.loads(done.stdout)
    assert bill["bomFormat"] == "CycloneDX"
    assert {plain(one["name"]) for one in bill["components"]} == set(pins("serve"))


def test_m9_the_bill_of_materials_has_every_package_with_its_hashes() -> None:
    """M9: what a production installation holds, from the lock, without the name of an index."""
    done = subprocess.run([ROOT / "scripts" / "sbom"], capture_output=True, text=True, check=True)
    bom = json.loads(done.stdout)
    found = {plain(one["name"]): one for one in bom["components"]}
    assert {name: one["version"] for name, one in found.items()} == pins("serve")
    assert all({entry["alg"] for entry in one["hashes"]} == {"SHA-256"} for one in found.values())
    assert "pypi" not in done.stdout.replace("pkg:pypi/", "")
