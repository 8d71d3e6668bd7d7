"""Shared by all commands of the CLI: global options, text and JSON, errors, exit codes.

It imports click and the standard library alone: the CLI runs once for each order, so modules that
an order does not need are not imported (architecture.md section 2).
"""

from __future__ import annotations

import errno
import functools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar

import click

from devgate.cli.language import said
from devgate.cli.moments import clock
from devgate.model import EXIT, Moment, pieces

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

INTERRUPTED = 130  # what shells show for a program that Ctrl-C ended
PIPE_CLOSED = 141  # and for one whose reader went away: `devgate watch | head`
USAGE = 2  # the request is wrong
UNWRITTEN = 1  # the output could not be written
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
MAX_VALUE, MAX_VALUES = 60, 240  # characters of one value in a line, and of several values


@dataclass(slots=True)
class Where:
    """The global options of one run: `ctx.obj` of every click context."""

    socket_option: str | None = None
    config_option: str | None = None
    as_json: bool = False

    def socket(self) -> str:
        """The path of the gateway's control socket (control.md section 3).

        Raises SetupError for a configuration that cannot be read.
        """
        from devgate.config.locate import find_socket  # reads TOML: not for `--help`

        return find_socket(self.socket_option, self.config_option, os.environ)

    def hides_another(self) -> bool:
        """Whether the current folder's configuration was taken in place of the service's."""
        from devgate.config.locate import hides_another

        return hides_another(self.socket_option, self.config_option, os.environ)


def _note(ctx: click.Context, param: click.Parameter, value: object) -> object:
    """Note an option that was given. One behind the command replaces one in front of it."""
    where = ctx.ensure_object(Where)
    if value is not None and value is not False:
        setattr(where, str(param.name), value)
    return value


def decorated(*by: Callable[[Any], Any]) -> Callable[[F], F]:
    """These options and arguments, in their order."""

    def decorate(command: F) -> F:
        for one in reversed(by):
            command = one(command)
        return command

    return decorate


# Gives a command or group `--socket`, `--config` and `--json`; their values are in `ctx.obj`.
options = decorated(
    click.option(
        "--socket", "socket_option", metavar="PATH", expose_value=False, callback=_note,
        help="The gateway's control socket.",
    ),
    click.option(
        "--config", "config_option", metavar="FILE", expose_value=False, callback=_note,
        help="The gateway's configuration, which names its socket.",
    ),
    click.option(
        "--json", "as_json", is_flag=True, expose_value=False, callback=_note,
        help="Print one JSON object per line.",
    ),
)  # fmt: skip


def common(command: Callable[Concatenate[Where, P], R]) -> Callable[P, R]:
    """Give a command the global options, and their values as its first argument.

    Used as the innermost decorator: `@click.command() @click.argument("imei") @common`.
    """

    @functools.wraps(command)
    def with_where(*args: P.args, **kwargs: P.kwargs) -> R:
        where = click.get_current_context().ensure_object(Where)
        return command(where, *args, **kwargs)

    return options(with_where)


def say(text: str) -> None:
    """One line of results on stdout. If its reader has gone away, end without a message."""
    with printing():
        click.echo(text)


@contextmanager
def printing() -> Iterator[None]:
    """End the command if stdout cannot be written inside of this: without a message if the reader
    has gone, and with one if a disk is full."""
    try:
        yield
    except BrokenPipeError:
        discard_stdout()
        raise SystemExit(PIPE_CLOSED) from None
    except OSError as err:
        if err.filename is not None or err.errno not in DISK_FULL:
            raise  # it is not about stdout
        discard_stdout()
        fail(f"the standard output cannot be written: {err.strerror}", UNWRITTEN)


def tell(text: str) -> None:
    """One sentence of results on stdout, in the language of who reads it."""
    say(said(text))


def discard_stdout() -> None:
    """Connect stdout to /dev/null, so that the flush at exit raises no error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def emit(obj: Mapping[str, Any]) -> None:
    """One JSON object as one line on stdout."""
    say(as_line(obj))


def as_line(obj: Mapping[str, Any]) -> str:
    """One JSON object, without the end of its line."""
    return json.dumps(obj, ensure_ascii=False)


def print_error(text: str) -> None:
    """Print sentences, one on each line, to stderr: behind `devgate: `, in the reader's
    language."""
    click.echo("devgate: " + "\n".join(map(said, text.split("\n"))), err=True)


def fail(text: str, code: int = USAGE) -> NoReturn:
    """Print an error and end with this exit code."""
    print_error(text)
    raise SystemExit(code)


def certain(question: str, yes: bool) -> None:
    """Ask before something is removed. Without a terminal, `--yes` or a yes on stdin
    (`yes | ...`) is required; else the exit code is 2."""
    if yes or _piped_yes():
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        fail(f"{question} Without a terminal only with --yes; nothing was done")
    click.confirm(said(question), abort=True, err=True)


def _piped_yes() -> bool:
    """Whether standard input is no terminal and holds a yes already. It does not wait for one."""
    from select import select

    if sys.stdin.isatty():
        return False
    try:
        ready, _, _ = select([sys.stdin], [], [], 0)
        return bool(ready) and sys.stdin.readline().strip().lower() in ("y", "yes")
    except (OSError, ValueError):  # closed, or not a file of the system
        return False


YES = click.option("--yes", is_flag=True, help="Do not ask. Required without a terminal.")


def exit_code(reply: Mapping[str, Any]) -> int:
    """The exit code of a reply's status. An unknown status counts as a failure of the gateway."""
    return EXIT.get(str(reply.get("status")), 12)


def finish(
    reply: Mapping[str, Any],
    as_json: bool,
    text: Callable[[Mapping[str, Any]], str] | None = None,
) -> NoReturn:
    """Print the reply and end with the exit code of its status.

    JSON always goes to stdout. As text, a status that is not a success goes to stderr; `text`
    makes the text of a success, which is otherwise the reply's message.
    """
    code = exit_code(reply)
    try:
        if as_json:
            emit(reply)
        elif code:
            print_error(sentence(reply))
        else:
            say((text or sentence)(reply))
    except SystemExit:  # nobody reads the output: the exit code is still that of the reply
        raise SystemExit(code) from None
    raise SystemExit(code)


def sentence(reply: Mapping[str, Any]) -> str:
    """A reply's message, with the id of the command that it is about."""
    text = str(reply.get("message") or f"the gateway answered {reply.get('status')}")
    return said(f"{text} (command {reply['command']})" if reply.get("command") else text)


def with_secret(reply: Mapping[str, Any]) -> str:
    """As sentence(), with the secret of a receiver if one was made."""
    if not reply.get("secret"):
        return sentence(reply)
    secret = f"secret {reply['secret']}  (shown this once: its receiver needs it)"
    return f"{sentence(reply)}\n{said(secret)}"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as aligned text under a header. A Chinese character has two columns; None is empty."""
    cells = [[said(name) for name in header], *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(
            text + " " * (size - width(text)) for text, size in zip(row, widths, strict=True)
        )
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return said("yes" if value else "no")
    return plain(str(value))


def in_short(value: object, name: str = "") -> str:
    """A value of an event as a part of one line, in the reader's language and zone. `name` is its
    field."""
    max_length = MAX_VALUES if isinstance(value, str) else MAX_VALUE
    found = pieces(value, said, max_length, name)
    text = "".join(clock(one) if isinstance(one, Moment) else one for one in found)
    return plain(text if len(text) <= MAX_VALUES else text[: MAX_VALUES - 3] + "...")


def plain(text: str) -> str:
    """Untrusted text, made safe to print: control characters, also of lines and colours, are
    escaped."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def width(text: str) -> int:
    """How many columns a terminal needs for it."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(
        0 if combining(sign) else 2 if east_asian_width(sign) in "WF" else 1 for sign in text
    )
