"""The documents, cut into what tests look at."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
MANUAL = ROOT / "docs" / "manual.md"
PROTOCOL, CONTROL = ROOT / "docs" / "protocol.md", ROOT / "docs" / "control.md"
READMES = (ENGLISH, CHINESE)
ARCHITECTURE, CONTRIBUTING = ROOT / "docs" / "architecture.md", ROOT / "CONTRIBUTING.md"
CLUSTER, UPGRADE = ROOT / "docs" / "cluster.md", ROOT / "docs" / "upgrade.md"
IN_CHINESE = ROOT / "docs" / "zh"
PAGES = (
    *READMES, CONTRIBUTING,
    *sorted(
        file for file in (ROOT / "docs").rglob("*.md")
        if file.parent.name not in ("notes", "screenshots") and file.name != "security.md"
    ),
)  # fmt: skip

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACEHOLDER = re.compile(r"\b(?:COMMAND|IMEI|LONG|NAME|N|FILE)\b")


class Step(NamedTuple):
    """One command of a session, and what it printed."""

    command: str
    output: tuple[str, ...]


def read(page: Path) -> str:
    return page.read_text("utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks in that language."""
    return [body for name, body in FENCE.findall(read(page)) if name == language]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", read(page))


def session(page: Path) -> list[Step]:
    """Every step of the sessions on a page: a `$` in front of the command, its output below."""
    steps: list[Step] = []
    for line in "".join(blocks(page, "console")).splitlines():
        if line.startswith("$ "):
            steps.append(Step(line[2:], ()))
        else:
            steps[-1] = Step(steps[-1].command, (*steps[-1].output, line))
    return steps


def section(page: Path, number: int) -> str:
    """The text of the section with that number. Raises ValueError if there is none."""
    found = re.search(
        rf"^## {number}\. .*?(?=^## |\Z)", read(page), re.MULTILINE | re.DOTALL
    )  # fmt: skip
    if found is None:
        raise ValueError(f"{page.name} has no section {number}")
    return found[0]


def table(text: str, first: str) -> list[list[str]]:
    """The cells of the table whose first column is called so, without its head."""
    lines = text[re.search(rf"^\| {re.escape(first)} \|", text, re.MULTILINE).start() :]  # type: ignore[union-attr]
    rows: list[list[str]] = []
    for line in lines.splitlines()[2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line[1:].rstrip("|").split("|")])
    return rows


def headings(page: Path) -> list[str]:
    """The marks of the headings, in order: `##`, `###`."""
    return re.findall(r"^(#+) ", prose(page), re.MULTILINE)


def commands(page: Path) -> list[str]:
    """Every `devgate ...` command on a page, as it is written there."""
    lines = [step.command for step in session(page)]
    for body in blocks(page, "sh"):
        lines += body.splitlines()
    lines += re.findall(r"`(devgate [^`]+)`", prose(page))
    return [found for line in lines if (found := _command(line))]


def _command(line: str) -> str | None:
    """The part of a shell line that calls devgate; None if it is about something else."""
    # As a user or a group it stands behind an option.
    match = re.search(r"(?:^|[\s(])(?<!-aG )(?<!-o )(?<!-g )devgate (.*)", line)
    if match is None or "…" in line:
        return None
    return re.split(r" \|\|? | \(|\)\"| #| \d?>| &$", match[1])[0].strip()


def arguments(command: str) -> list[str]:
    """Its arguments, with something in the places that a page leaves to the reader."""
    filled = {"IMEI": "123456787654321", "LONG": "500", "N": "7", "NAME": "shop", "FILE": "file"}
    return shlex.split(PLACEHOLDER.sub(lambda match: filled.get(match[0], match[0]), command))
