"""`devgate db`: the gateway's database, for an operator. Its modules are imported when used."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from devgate.cli.asking import answered
from devgate.cli.help import Group
from devgate.cli.output import (
    YES,
    Where,
    certain,
    common,
    exit_code,
    fail,
    finish,
    options,
    print_error,
)
from devgate.control.client import NoGateway, ask
from devgate.errors import SetupError
from devgate.model import EXIT

# Lines in one request: a line has less than 3 KB, and a request at most 64 KiB.
LINES_PER_REQUEST = 15
NICE = 10  # the nice value of a copy, so that the gateway goes before it


@click.group(cls=Group)
@options
def db() -> None:
    """Manage the gateway's database.

    \b
    Examples:
      devgate db upgrade                   # migrate the schema, with no gateway running
      devgate db confirm-loss              # after a failover that lost rows
      devgate db take devgate.db.late      # outcomes of another host's side file
      devgate db move postgresql://devgate@db.example/devgate   # also while the gateway runs
    """


@db.command()
@common
def upgrade(where: Where) -> None:
    """Bring the database's schema up to date, with no gateway running.

    `devgate serve` does the same when it starts. No other command does: an older gateway may be
    running with the database, and could not be started again.

    \b
    Example:
      devgate db upgrade && systemctl start devgate
    """
    from devgate.cli.local.stored import configured
    from devgate.store.opening import upgrade_database

    try:
        upgrade_database(configured(where))
    except SetupError as err:
        fail(str(err), exit_code({"status": err.status}))
    finish({"status": "200", "message": "the database's schema is up to date"}, where.as_json)


@db.command("confirm-loss")
@common
def confirm_loss(where: Where) -> None:
    """Accept starts again after the database has lost rows.

    The gateway has noticed that its database is older than what it wrote last: a replica took
    over that was behind, or a copy was restored. `devgate status` and the log say what is
    missing. It has written again what it still knew. Look at the orders of that time first:
    of what is lost for good, a key that is used again starts its machine again.

    With no gateway running, it is confirmed in the database itself.

    \b
    Example:
      devgate status && devgate db confirm-loss
    """
    try:
        reply = ask(where.socket(), {"type": "confirm_loss"})
    except NoGateway:
        from devgate.cli.local.stored import store
        from devgate.store.ownership import confirm_loss

        with store(where) as database, database.write() as conn:
            lost = confirm_loss(conn)
        message = f"confirmed: {lost}" if lost else "nothing was lost, nothing is changed"
        reply = {"status": "200", "message": message, "lost": lost}
    finish(reply, where.as_json)


@db.command()
@click.argument("target", metavar="URL")
@YES
@common
def move(where: Where, target: str, yes: bool) -> None:
    """Move the configured SQLite database to the PostgreSQL at URL, also while the gateway runs.

    Devices, commands with their keys, events, webhooks and how far each has come are copied, and
    compared. What changes meanwhile is copied again, until the gateway goes over: set [store] url
    in gateway.toml to URL, then `devgate upgrade` or `systemctl restart devgate`. With no gateway
    running, the last step is made at once. No start is accepted in the old database any more, so
    that none runs twice.

    The database at URL is empty, or this command has begun to fill it. Whatever ends it, the
    gateway goes on with SQLite, and none serves with the unfinished copy. A password belongs into
    ~/.pgpass or PGPASSWORD: others see the arguments of a command.

    \b
    Example:
      devgate db move postgresql://devgate@db.example/devgate
      # when it says so: [store] url and key_file in gateway.toml, and in another terminal
      devgate upgrade
    """
    from devgate.cli.local.stored import key_file_of
    from devgate.store.move_check import look
    from devgate.store.mover import move

    url, key_file = key_file_of(where)
    look(url, target)  # first: raises if the new database cannot be used
    certain(f"Move all rows of {url} to PostgreSQL, and close the old database?", yes)
    os.nice(NICE)
    settings = "[store] url" + (f', and key_file = "{key_file}"' if key_file else "")

    def follows() -> None:
        print_error(
            "all rows are there and compared, and the copy follows the gateway; "
            f"set {settings} in gateway.toml, then run devgate upgrade"
        )

    try:
        counts = move(url, target, _progress(where), follows)
    except KeyboardInterrupt:
        fail("ended before the last step: the gateway goes on with SQLite", EXIT["503"])
    rows = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count > 1)
    message = (
        f"moved: {rows}\nset [store] url to that database"
        + (f', and key_file = "{key_file}": it opens the secrets' if key_file else "")
        + "; the old one accepts no start any more"
    )
    finish({"status": "200", "message": message, "rows": dict(counts)}, where.as_json)


def _progress(where: Where) -> Callable[[str, int, int], None]:
    """A function that prints the progress of each table if stderr is a terminal."""
    if where.as_json or not sys.stderr.isatty():
        return lambda table, done, rows: None

    def tell(table: str, done: int, rows: int) -> None:
        click.echo(f"\r{table}: {done:,} of {rows:,}", nl=done >= rows, err=True)

    return tell


@db.command("take")
@click.argument("file", type=click.Path(path_type=Path))
@common
def take_late(where: Where, file: Path) -> None:
    """Take the outcomes in FILE into the database of the running gateway.

    A gateway that ends while its database is away, or that finds another gateway in its place,
    writes the outcomes it still knows into `<database>.late` (PostgreSQL: `devgate-ID.late` beside
    the control socket). The next start on that host takes the file by itself: this command is for
    a file of another host. An outcome counts only for a command that is `sent` or 408 on record;
    the others are listed, and change nothing. The file stays. Taking it twice does no harm.

    \b
    Example:
      devgate db take /mnt/old/devgate.db.late
    """
    head, lines = None, []
    try:
        content = file.read_bytes()
    except OSError as err:
        fail(f"{file}: {err.strerror}", EXIT["400"])
    for number, raw in enumerate(content.split(b"\n"), 1):
        try:
            line = json.loads(raw) if raw.strip() else None
        except ValueError:
            line = raw  # the last line may be cut off
        if isinstance(line, dict) and "database" in line:
            head = line
        elif isinstance(line, dict) and head is not None:
            lines.append((head, line))
        elif line is not None and (head is None or isinstance(line, dict)):
            fail(f"{file}: line {number}: no side file of devgate", EXIT["400"])
    left: list[str] = []
    for start in range(0, len(lines), LINES_PER_REQUEST):
        some = [part for pair in lines[start : start + LINES_PER_REQUEST] for part in pair]
        left += answered(where, {"type": "take_late", "lines": some})["left"]
    message = "\n".join([f"{len(lines) - len(left)} of {len(lines)} outcomes are taken", *left])
    finish({"status": "200", "message": message, "left": left}, where.as_json)
