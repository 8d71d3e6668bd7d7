"""The container's image: what Dockerfile and compose.yaml say, and scripts/image-test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
import tomli
import yaml

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "packaging" / "image"
DOCKERFILE = (IMAGE / "Dockerfile").read_text("utf-8")


def test_all_that_is_copied_is_let_in() -> None:
    """And nothing else: a clone may have databases and secrets in it."""
    first, *let_in = (IMAGE / "Dockerfile.dockerignore").read_text("utf-8").split()
    assert first == "*"
    names = [name.removeprefix("!") for name in let_in if name.startswith("!")]
    for name in names:
        assert (ROOT / name).exists(), name
    copied = re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE)
    assert len(copied) == 5
    for source in copied:
        if source != ".":
            assert (ROOT / source).is_file(), source
            assert any(source == name or fnmatch(source, f"{name}/*") for name in names), source
    assert not {"gateway.toml", "tests", ".git"} & set(names)


def test_it_is_not_root_and_writes_to_its_volumes_alone() -> None:
    user = re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE)
    assert user == ["10012:10012"]
    assert "--uid 10012 --gid 10012" in (IMAGE / "user").read_text("utf-8")
    gateway = yaml.safe_load((IMAGE / "compose.yaml").read_text("utf-8"))["services"]["devgate"]
    assert gateway["read_only"] is True
    assert gateway["cap_drop"] == ["ALL"]
    assert gateway["security_opt"] == ["no-new-privileges:true"]
    places = [place.split(":")[0] for place in gateway["tmpfs"]]
    places += [place.split(":")[1] for place in gateway["volumes"]]
    settings = tomli.loads((IMAGE / "gateway.toml").read_text("utf-8"))
    for file in (
        settings["control"]["socket"],
        settings["store"]["url"].removeprefix("sqlite:///"),
        settings["store"]["key_file"],
    ):
        assert str(Path(file).parent) in places, file


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("debootstrap"), reason="no debootstrap")
def test_it_is_built_and_runs_in_a_fresh_debian() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "image-test"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "all is well"
