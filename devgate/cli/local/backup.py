"""`devgate backup`, `restore` and `check`. Their modules are imported when they are used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from devgate.cli.local.stored import settings_of
from devgate.cli.moments import clock
from devgate.cli.output import Where, certain, common, emit, fail, finish, print_error, say
from devgate.model import EXIT, iso

PLACE = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=PLACE, required=False)
@click.option(
    "--keep", type=click.IntRange(1, 10_000), metavar="N",
    help="Of a folder: remove all but its newest N backups, once this one is there.",
)  # fmt: skip
@common
def backup(where: Where, file: Path | None, keep: int | None) -> None:
    """Copy the database into FILE while the gateway runs, and read the copy again.

    FILE is a new file, or a folder, in which the copy is called by its time; without FILE that is
    `[store] backups`. SQLite is copied in slices, so that no start waits; of PostgreSQL pg_dump
    makes the copy. It shows one moment of the database. Beside it is a note, FILE.json: how far
    the copy goes, its SHA-256, and which key file it needs. The key file itself is not copied:
    keep that elsewhere. Only the file's owner may read the copy (0600).

    \b
    Examples:
      devgate backup /var/backups/devgate
      devgate backup /var/backups/devgate --keep 14
      devgate backup before-upgrade.db
    """
    from devgate.backup.make import back_up, thin_out

    settings = settings_of(where)
    place = file or (Path(settings.store.backups) if settings.store.backups else None)
    if place is None:
        fail("a FILE or a folder expected, or [store] backups in gateway.toml", EXIT["400"])
    if keep is not None and not place.exists():
        fail(
            f"--keep is for a folder of backups: make it first, `install -d -m 700 {place}`",
            EXIT["400"],
        )
    if keep is not None and not place.is_dir():
        fail(f"--keep is for a folder of backups, and {place} is none", EXIT["400"])
    with _progress(where) as on_progress:
        written, note = back_up(settings, place, on_progress)
    facts = note.facts
    lines = [
        f"{written}: {note.size:,} bytes, verified; up to event {facts.newest_event} "
        f"({clock(iso(note.made_at))})"
    ]
    if facts.sealed:
        lines.append(
            f"it has encrypted secrets ({facts.sealed}), and they need the key file "
            f"{note.key_file}: keep a copy of that elsewhere"
        )
    if keep is not None:
        gone = thin_out(place, keep)
        lines += [f"removed {len(gone)} older ones"] if gone else []
    finish(
        {
            "status": "200", "message": "\n".join(lines), "file": str(written),
            "size": note.size, "sha256": note.sha256, "made_at": iso(note.made_at),
            "newest_event": facts.newest_event, "key_file": note.key_file,
            "sealed": facts.sealed,
        },
        where.as_json,
    )  # fmt: skip


@click.command()
@click.argument("file", type=PLACE)
@click.option(
    "--quarantine", "held", flag_value="quarantine",
    help="Orders may be newer than the copy: start nothing until that is lifted.",
)  # fmt: skip
@click.option(
    "--nothing-newer", "held", flag_value="open",
    help="No order is newer than the copy: the gateway works on at once.",
)  # fmt: skip
@common
def restore(where: Where, file: Path, held: str | None) -> None:
    """Put the backup FILE in the place of the configured database, with no gateway running.

    FILE is checked first. The database that is there stays beside it (SQLite), or there must be
    none (PostgreSQL: name an empty database in `[store] url`).

    Orders that came after the copy are unknown to it: their keys are free, and whoever asks for
    one of them again starts its machine a second time. With --quarantine the gateway refuses
    every start (423, `quarantine`), also after restarts, until `devgate quarantine lift`; keys
    that your shop knows to be untried are let through by `devgate quarantine allow`. Use
    --nothing-newer only if the gateway was stopped before the copy was made. Without either you
    are asked.

    \b
    Examples:
      devgate restore /var/backups/devgate/devgate-20261126T030000Z.db --quarantine
      devgate restore before-upgrade.db --nothing-newer
    """
    from devgate.backup.restore import made_at, restore

    settings = settings_of(where)
    if held is None:
        held = _asked(file, made_at(file))
    done = restore(settings, file, held=held == "quarantine")
    for warning in done.warnings:
        print_error(f"warning: {warning}")
    lines = [f"restored; the database is as of {clock(iso(done.made_at)) or 'an unknown time'}"]
    if done.aside is not None:
        lines.append(f"the former one is {done.aside}")
    if held == "quarantine":
        lines.append(
            "every start will be refused: see `devgate quarantine --help`"
            + (
                f"; {done.waiting} starts that waited count as sent, with an unknown outcome"
                if done.waiting
                else ""
            )
        )
    lines.append(
        f"events after {done.newest_event} get their numbers again: receivers that remember "
        "numbers have to forget those"
    )
    finish(
        {
            "status": "200", "message": "\n".join(lines), "made_at": iso(done.made_at),
            "newest_event": done.newest_event, "quarantine": held == "quarantine",
            "waiting": done.waiting, "former": None if done.aside is None else str(done.aside),
        },
        where.as_json,
    )  # fmt: skip


@click.command()
@click.argument("file", type=PLACE, required=False)
@common
def check(where: Where, file: Path | None) -> None:
    """Check that the backup FILE is whole; without FILE, the database that is in use.

    All of it is read: SQLite's own check, or pg_restore into nothing; the SHA-256 of its note;
    that no event is missing; that the key file opens every secret. No start waits for that.

    \b
    Examples:
      devgate check
      devgate check /var/backups/devgate/devgate-20261126T030000Z.db

    Exit codes: 0 it is whole, 12 something is wrong.
    """
    from devgate.backup.check import check_backup, check_database

    settings = settings_of(where)
    wrong = list(check_database(settings) if file is None else check_backup(file, settings))
    what = "the database" if file is None else str(file)
    if where.as_json:
        emit({"status": "500" if wrong else "200", "faults": wrong})
    elif wrong:
        for sentence in wrong:
            print_error(sentence)
    else:
        say(f"{what} is whole")
    raise SystemExit(EXIT["500"] if wrong else 0)


def _asked(file: Path, made_at: float | None) -> str:
    when = clock(iso(made_at)) or "an unknown time"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        fail(
            f"{file} is as of {when}: were machines started since then? --quarantine if that may "
            "be, --nothing-newer if not; nothing was done"
        )
    click.echo(
        f"{file} is as of {when}. It does not know the orders after that: their keys are free, "
        "and an order that is asked for again would start its machine a second time.",
        err=True,
    )
    newer = click.confirm("May machines have been started since then?", default=True, err=True)
    certain("Put it in the place of the database?", False)
    return "quarantine" if newer else "open"


@contextmanager
def _progress(where: Where) -> Iterator[Callable[[int, int], None]]:
    """A function that draws a progress bar if stderr is a terminal."""
    if where.as_json or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with click.progressbar(length=100, label="copying", file=sys.stderr) as bar:
        yield lambda done, total: bar.update(done * 100 // max(total, 1) - bar.pos)
