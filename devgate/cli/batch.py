"""`devgate start --from FILE`: many starts over one connection, several at once."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple, NoReturn

import click

from devgate.cli.output import (
    INTERRUPTED,
    Where,
    emit,
    exit_code,
    fail,
    print_error,
    sentence,
    tell,
)
from devgate.cli.params import Long, long, own_key
from devgate.control.client import Channel, NoGateway
from devgate.errors import CallerError
from devgate.model import Imei, imei, shown, unknown_field

COLUMNS = ("imei", "long", "key")
MAX_KEY = 128  # control.md section 1
# Enough for group commits of the gateway, and far below what its sockets buffer.
MAX_IN_FLIGHT = 32
MAX_BAD_SHOWN = 20  # bad lines: in a file of another kind every line is bad


class StartLine(NamedTuple):
    """One start of the file, and the line where it stands."""

    line: int
    imei: Imei
    long: Long
    key: str | None

    def request(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The request that asks for it; `extra` are fields that all of them have."""
        fields = {"imei": self.imei, "type": "start", **self.long.fields(), "key": self.key}
        return {**fields, **extra, "id": self.line}


class BadLine(NamedTuple):
    """A line that holds no start, and why."""

    line: int
    why: str


def read(lines: Iterable[bytes]) -> Iterator[StartLine | BadLine]:
    """The starts of a file: CSV, with or without a header, or JSON objects, one a line.

    Empty lines are passed over. A file whose first line opens with `{` is JSON throughout.
    """
    columns: list[str] | None = None
    as_json: bool | None = None
    keys: dict[str, StartLine] = {}
    for number, raw in enumerate(lines, 1):
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            if not text:
                continue
            if as_json is None:
                as_json = text.startswith("{")
            if as_json:
                fields = _object(text)
            else:
                cells = [cell.strip() for cell in next(csv.reader([text], strict=True))]
                if columns is None:
                    columns, header = _columns(cells)
                    if header:
                        continue
                fields = _row(cells, columns)
            order = _order(number, fields)
        except UnicodeDecodeError:
            yield BadLine(number, "not UTF-8")
        except (ValueError, csv.Error, CallerError) as err:
            yield BadLine(number, str(err))
            columns = columns or list(COLUMNS)  # a bad first line is reported once
        else:
            if order.key is not None:
                first = keys.setdefault(order.key, order)
                if first[1:3] != order[1:3]:
                    yield BadLine(number, f"key: line {first.line} has it for another start")
                    continue
            yield order


def _object(text: str) -> Mapping[str, object]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise ValueError(f"a JSON object with imei, long and key expected, not {shown(text)}")
    return fields


def _columns(cells: list[str]) -> tuple[list[str], bool]:
    """The names of the columns, and whether this first row is the header that gives them."""
    names = [cell.lower() for cell in cells]
    if "imei" not in names:
        return list(COLUMNS), False
    if unknown := [name for name in names if name not in COLUMNS]:
        raise ValueError(unknown_field(unknown[0], COLUMNS).replace("field", "column", 1))
    if len(set(names)) < len(names):
        raise ValueError(f"the columns imei, long and key expected, not {', '.join(cells)}")
    return names, True


def _row(cells: list[str], columns: list[str]) -> Mapping[str, object]:
    if len(cells) > len(columns):
        raise ValueError(f"{len(cells)} fields, but only {len(columns)} columns")
    return {name: cell for name, cell in zip(columns, cells, strict=False) if cell}


def _order(line: int, fields: Mapping[str, object]) -> StartLine:
    """Raises ValueError or CallerError, with a sentence that names the field."""
    if unknown := sorted(set(fields) - set(COLUMNS)):
        raise ValueError(unknown_field(unknown[0], COLUMNS))
    number = fields.get("long")
    if number is None or isinstance(number, bool) or not isinstance(number, int | str):
        raise ValueError(f"long: a number or a duration expected, not {shown(number)}")
    key = fields.get("key")
    if key is not None and not (isinstance(key, str) and 1 <= len(key) <= MAX_KEY):
        raise ValueError(f"key: 1 to {MAX_KEY} characters expected, not {shown(key)}")
    try:
        return StartLine(line, imei(fields.get("imei")), long(str(number)), key)
    except ValueError as err:
        raise ValueError(f"long: {err}") from None


def run(where: Where, file: BinaryIO, extra: Mapping[str, Any], reply_seconds: float) -> NoReturn:
    """Check the whole file, start all its devices, print a line each, and end.

    `extra` are fields of every request; `reply_seconds` is how long a reply may take.
    The exit code is 0, or that of the first line of the file that failed.
    """
    entries = list(read(file))
    bad = [entry for entry in entries if isinstance(entry, BadLine)]
    name = getattr(file, "name", "-")
    for entry in bad[:MAX_BAD_SHOWN]:
        print_error(f"{name} line {entry.line}: {entry.why}")
    if bad:
        fail(f"{name}: {len(bad)} of {len(entries)} lines are bad; nothing was sent")
    orders = [
        entry if entry.key else entry._replace(key=own_key())
        for entry in entries
        if isinstance(entry, StartLine)
    ]
    if not orders:
        print_error(f"{name} is empty: there is nothing to start")
        raise SystemExit(0)
    batch = Batch(orders, where.as_json)
    code = 0
    try:
        with Channel(where.socket()) as channel:
            batch.play(channel, extra, reply_seconds)
    except NoGateway as err:
        if not batch.flight and not batch.statuses:
            raise  # nobody was there from the start
        batch.give_up(str(err))
    except KeyboardInterrupt:
        batch.give_up("interrupted")
        code = INTERRUPTED
    finally:
        batch.progress.clear()
    raise SystemExit(code or batch.verdict())


class Batch:
    """The starts of a file. Each device has one at a time, so that it gets them in their order."""

    def __init__(self, orders: list[StartLine], as_json: bool) -> None:
        self.as_json = as_json
        self.waiting: dict[Imei, deque[StartLine]] = {}
        self.ready: deque[StartLine] = deque()
        self.flight: dict[int, StartLine] = {}
        self.statuses: dict[int, str] = {}  # by line
        self.progress = ProgressBar(len(orders))
        for order in orders:
            if order.imei in self.waiting:
                self.waiting[order.imei].append(order)
            else:
                self.waiting[order.imei] = deque()
                self.ready.append(order)

    def play(self, channel: Channel, extra: Mapping[str, Any], reply_seconds: float) -> None:
        """Ask for all of them. Raises NoGateway as soon as the gateway is gone or stuck."""
        while self.ready or self.flight:
            while self.ready and len(self.flight) < MAX_IN_FLIGHT:
                order = self.ready.popleft()
                self.flight[order.line] = order
                channel.send(order.request(extra))
            reply = channel.awaited(reply_seconds)
            answered = self.flight.get(reply.pop("id", None) or 0)
            if answered is None:  # it is about the connection, which the gateway closes now
                print_error(sentence(reply))
                continue
            self.report(answered, reply)
            del self.flight[answered.line]
            if behind := self.waiting[answered.imei]:
                self.ready.append(behind.popleft())

    def report(self, order: StartLine, reply: Mapping[str, Any]) -> None:
        """Print what became of one order."""
        status = str(reply.get("status"))
        self.progress.clear()
        if self.as_json:
            emit({"line": order.line, **reply})
        else:
            tell(f"line {order.line}: {order.imei} {status} {sentence(reply)}")
        self.statuses[order.line] = status
        self.progress.show(len(self.statuses))

    def give_up(self, why: str) -> None:
        """Say for each order without a reply whether it may have been sent."""
        unsent = [*self.ready, *(order for queue in self.waiting.values() for order in queue)]
        for order in self.flight.values():
            if order.line in self.statuses:
                continue  # it was interrupted after this line was printed
            look = f"`devgate history {order.imei}` shows what became of it"
            self._lost(order, "408", f"{why}; the outcome is unknown: {look}")
        for order in sorted(unsent):
            self._lost(order, "503", f"{why}; nothing was sent")

    def _lost(self, order: StartLine, status: str, message: str) -> None:
        fields = {"imei": order.imei, "type": "start", "long": order.long.number}
        outcome = "unknown" if status == "408" else "refused"
        reply = {"status": status, "message": message, **fields, "command": None,
                 "key": order.key, "outcome": outcome}  # fmt: skip
        self.report(order, reply)

    def verdict(self) -> int:
        """The exit code of the first line that failed, or 0. Prints how many failed."""
        failed = {
            line: status
            for line, status in sorted(self.statuses.items())
            if exit_code({"status": status})
        }
        if not failed:
            return 0
        counts = ", ".join(
            f"{count} x {status}" for status, count in Counter(failed.values()).items()
        )
        line, status = next(iter(failed.items()))
        print_error(
            f"{len(failed)} of {len(self.statuses)} failed ({counts}), first in line {line}"
        )
        return exit_code({"status": status})


class ProgressBar:
    """A bar on stderr, if that is a terminal. It is removed before each line of results."""

    WIDTH = 30

    def __init__(self, total: int) -> None:
        self.total = total
        self.terminal = sys.stderr.isatty()

    def show(self, done: int) -> None:
        """Draw the bar, in a terminal: `done` of all lines."""
        if self.terminal and done < self.total:
            filled = self.WIDTH * done // self.total
            bar = "#" * filled + "-" * (self.WIDTH - filled)
            click.echo(f"\r[{bar}] {done}/{self.total}", err=True, nl=False)

    def clear(self) -> None:
        """Remove the bar, before a line is printed."""
        if self.terminal:
            click.echo("\r\x1b[K", err=True, nl=False)
