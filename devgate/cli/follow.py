"""The streams of events (`devgate watch`) and of a device's frames (`devgate tap`)."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from io import FileIO
from typing import Any

import click

from devgate.cli.asking import given
from devgate.cli.language import said
from devgate.cli.moments import of_day
from devgate.cli.output import (
    Where,
    common,
    emit,
    fail,
    finish,
    in_short,
    plain,
    print_error,
    say,
    width,
)
from devgate.cli.params import ImeiType
from devgate.control.client import NoAnswer, stream
from devgate.model import NO_GATEWAY, Imei

Event = Mapping[str, Any]
Parts = Sequence[tuple[str, str]]  # pieces of a line, each with its colour

WRITE_FAILED = 1
DIM = "dim"
# Fields of an event: those at the end of its line, and all that have a fixed place in the line.
LAST_FIELDS = ("source", "site", "command", "commands", "connection")
PLACED_FIELDS = frozenset((
    *LAST_FIELDS, "event", "at", "type", "imei", "id", "name", "status", "outcome", "kind", "long"
))  # fmt: skip
STYLES = {
    "device.online": "green", "device.offline": "yellow", "command.sent": "cyan",
    "command.ended": "cyan", "command.late": "magenta", "command.corrected": "magenta",
    "device.taken_over": "yellow",
    "device.flapping": "red", "device.mismatch": "red", "result.unsolicited": "red",
    "command.ambiguous": "red", "device.slow": "yellow",
}  # fmt: skip


@click.command()
@click.argument("imei", type=ImeiType(), required=False, metavar="[IMEI]")
@click.option("--after", type=click.IntRange(0), metavar="N", help="Begin behind event number N.")
@click.option("--events", metavar="A,B", help="Only these types, such as device.online.")
@common
def watch(where: Where, imei: Imei | None, after: int | None, events: str | None) -> None:
    """Follow events as they happen, of all devices or of the device IMEI.

    Every event has a number. --after N gives those that happened behind it first,
    without a gap or a repeat, and then what happens.

    \b
    Examples:
      devgate watch
      devgate watch 123456787654321 --events command.ended,command.late
      devgate watch --after 4711 --json >> events.jsonl
    """
    kinds = [kind.strip() for kind in events.split(",") if kind.strip()] if events else None
    request = {"type": "watch", "imei": imei, "after": after, "events": kinds}
    show = _shower(where.as_json, event_parts)
    last = after
    with _followed(where, request) as lines:
        for event in lines:
            show(event)
            last = event.get("event", last)
    if last is None:
        fail("the gateway ended the stream", NO_GATEWAY)
    fail(f"the gateway ended the stream; go on with --after {last}", NO_GATEWAY)


@click.command()
@click.argument("imei", type=ImeiType(), required=False, metavar="[IMEI]")
@click.option("--unregistered", is_flag=True, help="Connections that are not registered.")
@click.option(
    "--save", type=click.Path(dir_okay=False, writable=True), metavar="FILE",
    help="Also write every frame to a new file, for `devgate replay`.",
)  # fmt: skip
@common
def tap(where: Where, imei: Imei | None, unregistered: bool, save: str | None) -> None:
    """Follow every frame to and from the device IMEI as it passes.

    A line is a time, a connection, in (from the device) or out (to it), the bytes,
    what they were read as, and why a 404, 300 or 401 was given. Tapping changes
    nothing for the device; a tap that reads too slowly is told how much it missed.

    \b
    Examples:
      devgate tap 123456787654321
      devgate tap --unregistered              # who tries to register and is refused
      devgate tap 123456787654321 --save odd.jsonl
    """
    if (imei is None) is not unregistered:
        raise click.UsageError("Give either an IMEI or --unregistered.")
    request = {"type": "tap", "imei": imei, "unregistered": unregistered or None}
    show = _shower(where.as_json, _frame)
    with _followed(where, request) as lines, _saver(save) as write:
        for frame in lines:
            write(frame)
            show(frame)
    fail("the gateway ended the stream", NO_GATEWAY)


@contextlib.contextmanager
def _followed(where: Where, request: Mapping[str, object]) -> Iterator[Iterator[Event]]:
    """The events of a stream. A reply that refuses it ends the program with its exit code."""
    with contextlib.closing(_stream(where.socket(), given(**request))) as lines:
        reply = next(lines)
        if reply.get("status") != "200":
            finish(reply, where.as_json)
        message = str(reply.get("message") or "following")
        if sys.stderr.isatty() and not where.as_json:
            print_error(f"{message}; Ctrl-C ends it")
        elif (after := request.get("after")) is not None and reply.get("after", after) != after:
            print_error(message)  # it begins elsewhere
        yield lines


def _stream(path: str, request: Mapping[str, object]) -> Generator[Event, None, None]:
    """The lines of a stream. If the gateway dies in the middle of a line, they just end."""
    begun = False
    try:
        for line in stream(path, request):
            begun = True
            yield line
    except NoAnswer:
        if not begun:
            raise


@contextlib.contextmanager
def _saver(path: str | None) -> Iterator[Callable[[Event], None]]:
    """A function that writes lines to a new file, without a buffer, as a tap ends by Ctrl-C."""
    if path is None:
        yield lambda line: None
        return
    try:
        with open(path, "xb", buffering=0) as file:
            yield lambda line: _write(file, line)
    except FileExistsError:
        fail(f"{path} exists already; save to a new file")
    except OSError as err:
        if err.filename != path:
            raise  # it is about another file, such as stdout
        fail(f"{path} cannot be written: {err.strerror}")


def _write(file: FileIO, line: Event) -> None:
    try:
        file.write(json.dumps(line).encode() + b"\n")
    except OSError as err:
        fail(f"{file.name!s} cannot be written: {err.strerror}", WRITE_FAILED)


def _shower(as_json: bool, parts: Callable[[Event], Parts]) -> Callable[[Event], None]:
    """A function that prints an event: as JSON, in colour on a terminal, or as plain text."""
    if as_json:
        return emit
    paint = painter()
    return lambda event: paint(_missed(event) if "missed" in event else parts(event))


def painter() -> Callable[[Parts], None]:
    """A function that prints a line of parts: in colour on a terminal. Only then rich is
    loaded."""
    if not sys.stdout.isatty():
        return lambda parts: say("".join(text for text, _ in parts).rstrip())
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    return lambda parts: console.print(Text.assemble(*parts))


def _missed(event: Event) -> Parts:
    return [(said(f"-- {event['missed']} missed: this reader was too slow --"), "red")]


def event_parts(event: Event, time: Callable[[object], str] = of_day) -> Parts:
    """An event as one line, in pieces. What matters comes first, as a screen cuts the end off."""
    kind = str(event.get("type"))
    name, imei = event.get("name"), event.get("imei")
    who = plain(str(name or imei or "-"))
    middle = _named(event, (key for key in event if key not in PLACED_FIELDS))
    ids = [f"imei={imei}"] * bool(name and imei) + [f"event={event.get('event')}"]
    return [
        (f"{time(event.get('at'))}  ", DIM),
        (f"{kind:<18}  ", STYLES.get(kind, "")),
        (f"{who}{' ' * (15 - width(who))}  ", ""),
        ("".join(f"{part}  " for part in _outcome(event)), "bold"),
        ("  ".join((*middle, *ids, *_named(event, LAST_FIELDS))), ""),
    ]


def _outcome(event: Event) -> Iterator[str]:
    """The outcome, and what was asked for, in few words."""
    outcome = [event.get("outcome") if event.get("status") else None, event.get("status")]
    if any(outcome):
        yield " ".join(plain(str(word)) for word in outcome if word)
    if (kind := event.get("kind")) is not None:
        long = event.get("long")
        yield plain(str(kind)) + ("" if long is None else f" {long}")


def _named(event: Event, names: Iterable[str]) -> Iterator[str]:
    """Those of these fields that have a value."""
    for name in names:
        value = event.get(name)
        if name == "changes" and isinstance(value, dict):
            yield in_short(value)
        elif value is not None and value is not False:
            yield f"{name}={in_short(value, name)}"


def _frame(frame: Event) -> Parts:
    inward = frame.get("direction") == "in"
    return [
        (f"{of_day(frame.get('at'))}  {frame.get('address')!s:<21}  ", DIM),
        (f"{frame.get('imei') or '-':<15}  ", DIM),
        (f"{frame.get('direction')!s:<3}  ", "green" if inward else "cyan"),
        (f"{shown_bytes(str(frame.get('bytes', '')).encode('latin-1', 'replace'))}  ", "bold"),
        (plain(str(frame.get("decoded") or "")), DIM),
        (f"  ({plain(str(frame['why']))})" if frame.get("why") else "", "red"),
    ]


def shown_bytes(data: bytes) -> str:
    """Bytes as a line can show them: text where they are text, else escaped."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return repr(data)[2:-1]
    return plain(text)
