"""docs/architecture.md and CONTRIBUTING.md name what is there: layers, files, functions."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest
import tomli

from tests.docs.pages import (
    ARCHITECTURE,
    CONTRIBUTING,
    CONTROL,
    FENCE,
    MANUAL,
    PROTOCOL,
    READMES,
    ROOT,
    blocks,
    prose,
    read,
    section,
    table,
)

PACKAGE = ROOT / "devgate"
PATHS = re.compile(r"`((?:devgate|tests|scripts|docs|requirements)/[\w./-]*)`")
STEP = re.compile(r"^(\S+\.py) +([\w.]+)", re.MULTILINE)
MEMBER = re.compile(r"`(?:[a-z_]+\.)*([A-Z]\w+)\.(\w+)(?:\([^`]*\))?`")


def plain(text: str) -> list[str]:
    """The fenced blocks that are in no language."""
    return [body for language, body in FENCE.findall(text) if not language]


@cache
def names(file: Path) -> frozenset[str]:
    """What is defined in a file: functions, classes, and "Class.member"."""
    found = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}" for name in members(node)}
    return frozenset(found)


def members(of: ast.ClassDef) -> set[str]:
    """Its methods and attributes, those that a method sets among them."""
    found = set()
    for node in ast.walk(of):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return found


@cache
def classes() -> dict[str, set[str]]:
    """The members of every class of devgate, with those of the classes that it is made of."""
    own: defaultdict[str, set[str]] = defaultdict(set)
    above: defaultdict[str, set[str]] = defaultdict(set)
    for file in PACKAGE.rglob("*.py"):
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                own[node.name] |= members(node)
                above[node.name] |= {base.id for base in node.bases if isinstance(base, ast.Name)}
    return {name: own[name].union(*(own.get(base, ()) for base in above[name])) for name in above}


def test_the_layers_are_those_that_are_checked() -> None:
    config = tomli.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = config["tool"]["importlinter"]["contracts"]
    layers = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    assert [block.splitlines() for block in plain(section(ARCHITECTURE, 3))] == layers


def test_every_package_has_its_line() -> None:
    rows = table(section(ARCHITECTURE, 4), "package")
    packages = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for file in PACKAGE.rglob("__init__.py")
        if file.parent.name != "versions"
    }
    assert [row[0].strip("`") for row in rows if row[0].strip("`") not in packages] == []
    assert {row[0].strip("`") for row in rows} == packages
    for name, _, begin in rows:
        folder = ROOT.joinpath(*name.strip("`").split("."))
        for file in re.findall(r"`(\w+\.py)`", begin):
            assert (folder / file).is_file(), f"{name}: {file}"


def test_the_paths_can_be_followed() -> None:
    """architecture.md section 5: each step is a function that is there."""
    steps = STEP.findall("\n".join(plain(section(ARCHITECTURE, 5))))
    assert len(steps) > 60
    for file, name in steps:
        assert name in names(PACKAGE / file), f"{file} {name}"


def test_a_start_takes_the_path_of_the_page() -> None:
    """architecture.md section 5: a traced start makes these calls, in this order. What the trace
    has not, since it goes from the first byte read to the last one sent, stands around them."""
    _, text = section(ARCHITECTURE, 5).split("### A start", 1)
    steps = STEP.findall("\n".join(plain(text)))
    first, last = (
        ("control/connection.py", "Connection._heard"),
        ("control/outbox.py", "Outbox.say"),
    )
    steps = steps[steps.index(first) : steps.index(last) + 1]
    assert len(steps) > 40
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", "path", "--list"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True, text=True, timeout=150, check=True,
    )  # fmt: skip
    calls = re.findall(r"(\S+\.py):(\S+)", done.stdout)
    place = 0
    for step in steps:
        assert step in calls[place:], f"{' '.join(step)} is not called, or not behind the others"
        place = calls.index(step, place)


@pytest.mark.parametrize("page", [ARCHITECTURE, CONTRIBUTING], ids=lambda page: page.name)
def test_members_that_are_named_are_there(page: Path) -> None:
    known = classes()
    found = MEMBER.findall(read(page))
    assert page == CONTRIBUTING or len(found) > 50
    for name, member in found:
        assert member in known.get(name, ()), f"{name}.{member}"


@pytest.mark.parametrize(
    "page",
    [*READMES, MANUAL, PROTOCOL, CONTROL, ARCHITECTURE, CONTRIBUTING],
    ids=lambda page: page.name,
)
def test_files_that_are_named_are_there(page: Path) -> None:
    for path in PATHS.findall(prose(page)):
        assert (ROOT / path).exists(), path


def test_the_glossary_is_in_order() -> None:
    terms = [row[0] for row in table(section(ARCHITECTURE, 12), "term")]
    assert len(terms) >= 25
    assert terms == sorted(terms)


def test_the_scripts_that_are_named_can_be_run() -> None:
    """CONTRIBUTING.md: the first word of each shell line that is ours."""
    lines = "".join(blocks(CONTRIBUTING, "sh")).splitlines()
    ours = {word for line in lines if (word := line.split(" ")[0]).startswith("scripts/")}
    assert {"scripts/test", "scripts/serve"} <= ours
    for word in ours:
        assert (ROOT / word).stat().st_mode & 0o100, word
