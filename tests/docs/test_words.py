"""What the documents say is what the program does: statuses, commands, help, links."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import click
import pytest
import tomli
from click.testing import CliRunner

from devgate.access.tokens import NEEDS
from devgate.cli.main import cli
from devgate.config.load import load
from devgate.events.kinds import KINDS
from devgate.http.api.endpoints import CALLS
from devgate.http.problems import STATUSES
from devgate.model import EXIT, NO_GATEWAY
from tests.docs.pages import (
    CHINESE,
    ENGLISH,
    MANUAL,
    PAGES,
    READMES,
    ROOT,
    arguments,
    blocks,
    commands,
    headings,
    prose,
    read,
    session,
)

COMMANDS = sorted({(page.name, command) for page in PAGES for command in commands(page)})


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_the_table_of_statuses_is_the_real_one(page: Path) -> None:
    rows = re.findall(r"^\| ([\d, ]+) \| [^|]+ \| (\d+) \|$", prose(page), re.MULTILINE)
    listed = {status: int(code) for names, code in rows for status in names.split(", ")}
    assert listed == dict(EXIT)
    assert re.findall(rf"^\| [^\d|]+ \| [^|]+ \| {NO_GATEWAY} \|$", prose(page), re.MULTILINE)


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_every_command_can_be_typed(
    page: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is parsed as far as its own options and arguments, and not run."""
    monkeypatch.chdir(tmp_path)
    for name in ("orders.csv", "machines.csv", "odd.jsonl", "gateway.toml"):
        (tmp_path / name).touch()
    found: click.Command = cli
    rest, context = arguments(command), None
    while isinstance(found, click.Group) and rest and not rest[0].startswith("-"):
        if rest == ["COMMAND", "--help"]:
            return
        context = click.Context(found, parent=context, info_name=found.name)
        named = found.get_command(context, rest[0])
        assert named is not None, f"{page}: devgate {command}"
        found, rest = named, rest[1:]
    if not isinstance(found, click.Group) and "--help" not in rest and rest:
        found.make_context(found.name, rest, parent=context).close()


def test_there_are_commands_to_check() -> None:
    """The search for them has not gone blind."""
    assert len(COMMANDS) > 40
    assert ("README.md", "start 860000000000001 15m --key order-4711") in COMMANDS
    assert ("manual.md", "webhooks replay NAME --after N") in COMMANDS


def test_the_help_in_the_manual_is_the_real_one() -> None:
    shown = [body for body in blocks(MANUAL, "text") if body.startswith("$ devgate --help\n")]
    real = CliRunner().invoke(cli, ["--help"], prog_name="devgate", terminal_width=80).output
    assert shown == [f"$ devgate --help\n{real}"], "copy what `devgate --help` says to its end"


@pytest.mark.parametrize(
    "page", [*PAGES, PAGES[0].with_name("CHANGELOG.md")], ids=lambda p: str(p.relative_to(ROOT))
)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?:", link):
            continue
        file, _, place = link.partition("#")
        target = page.parent / unquote(file) if file else page
        assert target.exists(), link
        assert not place or unquote(place) in anchors(target), link


def anchors(page: Path) -> set[str]:
    """Where links may point to: as GitHub names headings, and explicit places."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    named = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    return named | set(re.findall(r'^<a id="([^"]+)"></a>$', prose(page), re.MULTILINE))


def test_both_readmes_have_the_same_parts() -> None:
    assert headings(CHINESE) == headings(ENGLISH)
    assert session(CHINESE) == session(ENGLISH)
    assert set(commands(CHINESE)) == set(commands(ENGLISH))
    tables = [re.findall(r"^\|(?:---\|)+$", read(page), re.MULTILINE) for page in READMES]
    assert tables[0] == tables[1]
    frames = [set(re.findall(r"\d{6}[\d…]*(?:HT|TN|QR|QD|ST)\d*", read(page))) for page in READMES]
    assert frames[0] == frames[1]


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_the_table_of_calls_is_the_real_one(page: Path) -> None:
    needed = {(call.method, call.path): NEEDS.get(call.operation, "admin") for call in CALLS}
    rows = re.findall(r"^\| (`[A-Z]+ /api/.*`) \| [^|]+ \| `(\w+)` \|$", prose(page), re.MULTILINE)
    listed = {
        call: role
        for names, role in rows
        for call in re.findall(r"`([A-Z]+) (/api/[^`]+)`", names)
    }
    assert len(listed) > 10
    assert listed == {call: needed.get(call) for call in listed}


def test_the_table_of_http_statuses_is_the_real_one() -> None:
    [table] = re.findall(
        r"^\| devgate \|(.*)\|\n.*\n\| HTTP \|(.*)\|$", read(MANUAL), re.MULTILINE
    )
    ours, theirs = (line.split("|") for line in table)
    listed = {
        code: int(status.split(";")[0])
        for codes, status in zip(ours, theirs, strict=True)
        for code in codes.strip().split(", ")
    }
    assert listed == {code: status for code, (status, _) in STATUSES.items()}


def test_every_event_is_explained() -> None:
    missing = [kind for kind in KINDS if f"`{kind}`" not in read(MANUAL)]
    assert missing == []


def test_the_configuration_in_the_manual_is_sound(tmp_path: Path) -> None:
    text = "\n".join(blocks(MANUAL, "toml"))  # they go into one file
    (tmp_path / "gateway.toml").write_text(text, "utf-8")
    settings = load(tmp_path / "gateway.toml", {})
    given = tomli.loads(text)
    assert settings.control.socket == given["control"]["socket"]
    assert settings.store.url == given["store"]["url"]
    assert settings.http.public == given["http"]["public"]
    assert [webhook.called for webhook in settings.webhook] == ["shop"]
