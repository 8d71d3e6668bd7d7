"""`devgate devices import` and `export`: the list of known machines as a file."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

import click

from devgate.cli.local.stored import done, refresh, store
from devgate.cli.output import Where, as_line, common, fail
from devgate.errors import CallerError, StoreError


@click.command("import")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--on-conflict", type=click.Choice(["fail", "skip", "update"]), default="fail",
    show_default=True, help="What to do with IMEIs that are there already.",
)  # fmt: skip
@common
def import_(where: Where, file: BinaryIO, on_conflict: Literal["fail", "skip", "update"]) -> None:
    """Import devices from the CSV file FILE, or - for standard input.

    A header names the columns, in any order: imei, and any of id, name, site, phone, qr,
    unit, ack_timeout, enabled. The whole file is checked before anything is written. An
    import that was cut short is completed by running it again.

    \b
    Examples:
      devgate devices import machines.csv
      zcat machines.csv.gz | devgate devices import - --on-conflict update
    """
    from devgate.store import csv_import

    with store(where) as database:
        with _Bar(shown=sys.stderr.isatty() and not where.as_json) as bar:
            try:
                imported = csv_import.import_csv(database, file, on_conflict, bar)
            except (CallerError, StoreError):
                refresh(where, database)  # some of it may be there
                raise
        message = (
            f"{imported.added} added, {imported.updated} updated, {imported.skipped} there already"
        )
        done(where, database, message, **asdict(imported))


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
        if not self._shown:
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
    from devgate.store.devices import all_devices

    part = f"{file}.part"  # so that FILE is the whole export or what it was before
    with store(where) as database, database.read() as conn:
        try:
            with click.open_file(file if file == "-" else part, "w", encoding="utf-8") as out:
                writer = None if where.as_json else CsvWriter(out, spreadsheet=spreadsheet)
                for device in all_devices(conn):
                    if writer is None:
                        click.echo(as_line(device._asdict()), file=out)
                    else:
                        writer.write(device)
            if file != "-":
                os.replace(part, file)
        except BrokenPipeError:
            raise
        except OSError as err:
            fail(f"{file} cannot be written: {err.strerror}")
