"""Every command's `--help`, as the program prints it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from devgate.cli.main import SECTIONS, cli
from documenting.plan import Language
from documenting.words import said

COLUMNS = 92


def page(language: Language) -> str:
    """The page as Markdown."""
    parts = [f"# {said(language, 'All commands')}", said(language, "ABOUT COMMANDS")]
    with speaking(language):
        top = click.Context(cli, info_name="devgate", terminal_width=COLUMNS)
        parts.append(_block(top))
        for title, commands in SECTIONS.items():
            parts.append(f"## {said(language, title)}")
            for name in commands:
                command = cli.get_command(top, name)
                assert command is not None, name
                for context in each(command, name, top):
                    mark = "#" * min(2 + context.command_path.count(" "), 4)
                    parts += [f"{mark} `{context.command_path}`", _block(context)]
    return "\n\n".join(parts) + "\n"


def each(command: click.Command, name: str, parent: click.Context) -> Iterator[click.Context]:
    """A command and all within it, each as a context that writes its help."""
    context = click.Context(command, info_name=name, parent=parent, terminal_width=COLUMNS)
    yield context
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None and not found.hidden:
                yield from each(found, inner, context)


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """The command line's language, for as long as this lasts."""
    before = os.environ.get("DEVGATE_LANG")
    os.environ["DEVGATE_LANG"] = language
    try:
        yield
    finally:
        if before is None:
            del os.environ["DEVGATE_LANG"]
        else:
            os.environ["DEVGATE_LANG"] = before


def _block(context: click.Context) -> str:
    return f"```text\n{context.get_help().rstrip()}\n```"
