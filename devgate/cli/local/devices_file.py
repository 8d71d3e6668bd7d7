"""`devgate devices import` and `export`: the list of known machines as a file."""

from __future__ import annotations

import os
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NoReturn, Self

import click

from devgate.cli.local.stored import refresh, running, store
from devgate.cli.output import (
    USAGE,
    Where,
    as_line,
    common,
    emit,
    exit_code,
    fail,
    finish,
    plain,
    print_error,
    say,
    tell,
)
from devgate.control.client import REPLY_SECONDS, Channel, NoAnswer, Reply

if TYPE_CHECKING:
    from devgate.store.device import Device

PART_BYTES = 45_000  # of a file in one request: in base64 below the 64 KiB that it may have
CONFLICT = " is there already, and not the same"  # the end of a message of store.csv_plan
POLL_SECONDS = 0.3  # between two requests for the progress of an import


@click.command("import")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--on-conflict", type=click.Choice(["fail", "skip", "update"]), default="fail",
    show_default=True, help="What to do with IMEIs that are there already.",
)  # fmt: skip
@click.option(
    "--dry-run", is_flag=True, help="Only say what would change, and which lines are wrong."
)
@common
def import_(
    where: Where, file: BinaryIO, on_conflict: Literal["fail", "skip", "update"], dry_run: bool
) -> None:
    """Import devices from the CSV file FILE, or - for standard input.

    A header names the columns, in any order: imei, and any of id, name, site, phone, qr,
    unit, ack_timeout, enabled, iccid, sim_phone, model, firmware, serial, installed_on,
    note, tags, latitude, longitude. The whole file is checked before anything is written. An
    import that was cut short is completed by running it again.

    \b
    Examples:
      devgate devices import machines.csv --on-conflict update --dry-run
      devgate devices import machines.csv
      zcat machines.csv.gz | devgate devices import - --on-conflict update
    """
    with _Bar(shown=sys.stderr.isatty() and not where.as_json) as bar, running(where) as channel:
        if channel is not None:
            reply = _handed_over(
                channel, file, {"on_conflict": on_conflict, "dry_run": dry_run}, bar
            )
        else:
            reply = _stored(where, file, on_conflict, dry_run, bar)
    _end(where, reply, by_default=on_conflict == "fail")


def _handed_over(channel: Channel, file: BinaryIO, how: Mapping[str, Any], bar: _Bar) -> Reply:
    """Upload the file to the gateway that runs, and have it imported. Returns its reply."""
    id, total = None, os.fstat(file.fileno()).st_size if file.seekable() else 0
    while data := file.read(PART_BYTES):
        part = {"type": "upload", "data": b64encode(data).decode()}
        channel.send(part if id is None else {**part, "upload": id})
        reply = channel.awaited()
        if exit_code(reply):
            return reply
        id = reply["upload"]
        bar("sending", reply["size"], total)
    content = {"csv": ""} if id is None else {"upload": id}
    channel.send({"type": "import", "id": "import", **content, **how})
    heard_at = monotonic()
    while True:
        try:
            answer = channel.reply(POLL_SECONDS)
        except TimeoutError:
            if monotonic() > heard_at + REPLY_SECONDS:
                raise NoAnswer(
                    f"the gateway at {channel.path} has not answered within {REPLY_SECONDS:g} s; "
                    "run the same import again to complete it"
                ) from None
            if id is not None:
                channel.send({"type": "upload", "upload": id})
            continue
        if answer is None:
            raise NoAnswer(
                f"the gateway at {channel.path} went away; run the same import again to "
                "complete it"
            )
        heard_at = monotonic()
        if answer.pop("id", None) == "import":
            return answer
        if not exit_code(answer):
            bar(answer["doing"], answer["done"], answer["total"])


def _stored(
    where: Where, file: BinaryIO, on_conflict: Literal["fail", "skip", "update"], dry_run: bool,
    bar: _Bar,
) -> Reply:  # fmt: skip
    """Import the file into the database, as no gateway runs."""
    from devgate.store import csv_import, csv_preview

    with store(where) as database:
        if dry_run:
            return csv_preview.preview_csv(database, file, on_conflict, bar).reply()
        try:
            imported = csv_import.import_csv(database, file, on_conflict, bar)
        finally:
            refresh(where, database)  # a part of the file may be stored
        return {"status": "200", "message": str(imported), **asdict(imported)}


def _end(where: Where, reply: Reply, *, by_default: bool) -> NoReturn:
    """Print the result. With wrong lines it is no success. `by_default`: no `--on-conflict` was
    given, so a device that is there already makes its line wrong."""
    if by_default and not where.as_json and exit_code(reply) | reply.get("faults", 0):
        wrong = [reply.get("message"), *(one["message"] for one in reply.get("errors", ()))]
        if any(str(one).endswith(CONFLICT) for one in wrong):
            print_error(
                "--on-conflict update changes the devices that are there already, and "
                "--on-conflict skip leaves them as they are"
            )
    if where.as_json or "errors" not in reply:
        if reply.get("faults"):
            emit(reply)
            raise SystemExit(USAGE)
        finish(reply, where.as_json)
    for change in reply["changes"]:
        for name, value in change["changes"].items():
            say(f"{change['imei']}  {name}: {_word(value['old'])} -> {_word(value['new'])}")
    for error in reply["errors"]:
        print_error(f"line {error['line']}: {error['message']}")
    if reply["faults"]:
        fail(str(reply["message"]))
    tell(str(reply["message"]))
    raise SystemExit(0)


def _word(value: object) -> str:
    return "-" if value in (None, "") else plain(str(value))


class _Bar:
    """Progress on a terminal: one bar for each thing that an import does."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._bar: Any = None
        self._what = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._bar is not None:
            self._bar.__exit__(kind, error, trace)
            self._bar = None

    def __call__(self, what: str, done: int, total: int) -> None:
        if not self._shown or not total:  # the size of a pipe is not known
            return
        if what != self._what:
            self.__exit__(None, None, None)
            self._what = what
            bar: Any = click.progressbar(length=total or None, label=f"{what:8}", file=sys.stderr)
            self._bar = bar.__enter__()
        self._bar.update(done - self._bar.pos)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True), default="-")
@click.option(
    "--spreadsheet",
    is_flag=True,
    help="For Excel and the like: no cell is taken for a formula.",
)
@common
def export(where: Where, file: str, spreadsheet: bool) -> None:
    """Export all devices as CSV to FILE or to standard output; `import` takes it back.

    With --json each device is a line of JSON. A name such as =1+1 is a formula to
    a spreadsheet: with --spreadsheet an apostrophe makes a text of it. That form
    is for people, and not for the import.

    \b
    Examples:
      devgate devices export backup.csv
      devgate devices export --json | jq -r 'select(.site == "north") | .imei'
    """
    from devgate.store.csv_export import CsvWriter

    part = f"{file}.part"  # so that FILE holds the whole export or what it held before
    with _all(where) as devices:
        try:
            with click.open_file(file if file == "-" else part, "w", encoding="utf-8") as out:
                writer = None if where.as_json else CsvWriter(out, spreadsheet=spreadsheet)
                for device in devices:
                    if writer is None:
                        click.echo(as_line(device._asdict()), file=out)
                    else:
                        writer.write(device)
            if file != "-":
                os.replace(part, file)
        except BrokenPipeError:
            raise
        except OSError as err:
            name = "the standard output" if file == "-" else file
            fail(f"{name} cannot be written: {err.strerror}")


@contextmanager
def _all(where: Where) -> Iterator[Iterable[Device]]:
    """All devices, from the gateway that runs, or from the database."""
    with running(where) as channel:
        if channel is not None:
            channel.send({"type": "export", "end": True})
            reply = channel.awaited()
            if exit_code(reply):
                finish(reply, where.as_json)
            yield _each(channel)
            return
    from devgate.store.devices import all_devices

    def lazily(conn: Any) -> Iterator[Device]:
        yield from all_devices(conn)

    with store(where) as database, database.read() as conn:
        yield lazily(conn)  # read when the file is open


def _each(channel: Channel) -> Iterator[Device]:
    from devgate.store.device import Device

    while (line := channel.reply(REPLY_SECONDS)) is not None:
        if "end" in line:
            return
        if "status" in line:  # the database went away in the middle
            finish(line, as_json=False)
        yield Device(**line)
    raise NoAnswer(f"the gateway at {channel.path} went away in the middle of the list")
