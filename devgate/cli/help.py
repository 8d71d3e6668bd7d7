"""click's help and error messages, in the reader's language.

click makes both from English sentences. Each paragraph, line of a list and heading is translated
when it is written, so that commands are declared in English alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import IO, Any

import click

from devgate.cli.language import language, said, said_of
from devgate.cli.output import width

MAX_SUMMARY = 400  # characters of a command's first sentence: none of ours is longer
AS_IS = "\b"  # click's sign for a paragraph that is not wrapped
# What click adds to an option's help: [default: 100; required].
EXTRA = re.compile(r"(?:(?P<help>.*?)  )?\[(?P<extra>[^\]]*)\]", re.DOTALL)
NUMBERED = re.compile(r"( *\d+  )(.+)")  # a line of a table of exit codes


class Formatter(click.HelpFormatter):
    """Writes help as click does, also in Chinese, whose characters take two columns."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """The line of the usage."""
        super().write_usage(prog, args, prefix or f"{said('Usage:')} ")

    def write_heading(self, heading: str) -> None:
        """The line above a section."""
        colon = "：" if language() == "zh" else ":"  # noqa: RUF001
        self.write(f"{'':>{self.current_indent}}{said(heading)}{colon}\n")

    def write_text(self, text: str) -> None:
        """Paragraphs, wrapped; those that begin with \\b are lines that stay as they are."""
        if language() == "en":
            return super().write_text(text)
        indent = " " * self.current_indent
        parts = []
        for part in text.split("\n\n"):
            first, _, body = part.partition("\n")
            if first.strip() == AS_IS:
                lines: Iterable[str] = map(_line, body.split("\n"))
            else:
                sentence = said(" ".join(part.split()))
                lines = wrapped(sentence, self.width - len(indent))
            parts.append("".join(f"{indent}{line}".rstrip() + "\n" for line in lines))
        return self.write("\n".join(parts))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """A list of options or commands, each with its help."""
        if language() == "en":
            return super().write_dl(rows, col_max, col_spacing)
        rows = list(rows)
        first = min(max(len(name) for name, _ in rows), col_max) + col_spacing
        indent = " " * self.current_indent
        for name, text in rows:
            lines = [*wrapped(_help(text), max(self.width - first - len(indent), 20))] or [""]
            if len(name) > first - col_spacing:
                self.write(f"{indent}{name}\n")
                name = ""
            for line in lines:
                self.write(f"{indent}{name:<{first}}{line}".rstrip() + "\n")
                name = ""
        return None


class Group(click.Group):
    """A group whose help has the whole first sentence of each command, which click would cut."""

    group_class = type  # groups inside of it are of this class, too

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """All commands, each with that sentence."""
        named = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, found.get_short_help_str(MAX_SUMMARY)) for name, found in named if found]
            )


class Complaint(click.ClickException):
    """click's error message in Chinese, with the same exit code."""

    def __init__(self, err: click.ClickException) -> None:
        super().__init__(said(err.format_message()))
        self.exit_code = err.exit_code  # type: ignore[misc]
        self._ctx: click.Context | None = getattr(err, "ctx", None)

    def show(self, file: IO[Any] | None = None) -> None:
        """On standard error, below the usage and how to get the help."""
        if self._ctx is not None:
            hint = f"Try '{self._ctx.command_path} --help' for help."
            click.echo(f"{self._ctx.get_usage()}\n{said(hint)}\n", err=True)
        click.echo(said(f"Error: {self.message}"), err=True)


def reworded(err: click.ClickException) -> click.ClickException:
    """The error in the reader's language. A group without a command shows its help."""
    if language() == "en" or isinstance(err, click.exceptions.NoArgsIsHelpError):
        return err
    return Complaint(err)


def _help(text: str) -> str:
    """The help of an option or command in the reader's language, with what click adds to it."""
    match = EXTRA.fullmatch(text)
    if match is None:
        found = said(text)
        return found if found != text else said_of(text)
    extra = ", ".join(map(said, match["extra"].split("; ")))
    return f"{said(match['help'] or '')}  [{extra}]".lstrip()


def _line(line: str) -> str:
    """A line that is not wrapped, in the reader's language. Of an example, only the comment."""
    if match := NUMBERED.fullmatch(line):
        return match[1] + said(match[2])
    if not line.startswith("  "):
        return said(line)
    code, mark, comment = line.partition("  # ")
    return f"{code}{mark}{said(comment)}" if mark else line


def wrapped(text: str, max_columns: int) -> Iterator[str]:
    """Lines of at most `max_columns`. They break at spaces and between Chinese characters, but not
    in front of a closing punctuation mark."""
    line, columns = "", 0
    for piece in re.findall(r"[!-~]+[、。，；：）！？]*|\S[、。，；：）！？”]*|\s+", text):  # noqa: RUF001
        size = width(piece)
        if columns + size > max_columns and line:
            yield line.rstrip()
            line, columns, piece = "", 0, piece.lstrip()
            size = width(piece)
        line, columns = line + piece, columns + size
    if line:
        yield line.rstrip()
