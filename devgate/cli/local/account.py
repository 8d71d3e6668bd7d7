"""What `devgate token` and `devgate user` share. They ask the gateway that runs; if none runs,
they work on its database; with `--file`, on that file.

The modules for the database are imported in the functions: `--help` does not need them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, NoReturn, TypeVar

import click

from devgate.cli.asking import given, pages
from devgate.cli.language import said
from devgate.cli.local.stored import asked, running, store
from devgate.cli.moments import clock
from devgate.cli.output import (
    YES,
    Where,
    certain,
    common,
    decorated,
    emit,
    finish,
    say,
    table,
)
from devgate.model import iso

F = TypeVar("F", bound=Callable[..., object])

ROLES = ("read", "command", "admin")  # as `access.tokens` has them, which is not imported here
PAGE_SIZE = 1000  # accounts that are asked for at once

sites_option = click.option(
    "--site", "sites", multiple=True, metavar="SITE",
    help="Only devices of this site; again for each. Without it: all.",
)  # fmt: skip
role_option = click.option(
    "--role",
    type=click.Choice(ROLES),
    default="command",
    show_default=True,
    help="read: look only; command: also start and stop; admin: everything.",
)
# What `rights` takes.
rights_options = decorated(
    click.option("--role", type=click.Choice(ROLES), help="Another role."),
    sites_option,
    click.option("--all-sites", is_flag=True, help="All sites again."),
    click.option("--enable/--disable", "enabled", default=None,
                 help="Let in again, or refuse from now on."),
)  # fmt: skip


class AccountCommands(NamedTuple):
    """What differs between tokens and users."""

    kind: Literal["token", "user"]
    load: Callable[[], Any]  # imports the module of `access` that reads and writes their file
    sample: str  # a name, for the help
    removed: str  # what a removal means to whoever has the name

    def option(self, command: F) -> F:
        """Give a command `--file`."""
        text = f"A {self.kind} file to work on, instead of the gateway that runs or its database."
        return click.option("--file", type=click.Path(dir_okay=False), help=text)(command)

    def ask(self, where: Where, operation: str, **fields: Any) -> dict[str, Any] | None:
        """The reply of the gateway that runs, without fields that are None; None if none runs."""
        return asked(where, {"type": f"{self.kind}_{operation}", **given(**fields)})

    def add(
        self, where: Where, name: str, role: str, sites: tuple[str, ...], proof: str,
        *, provider: bool = False,
    ) -> None:  # fmt: skip
        """Add it to the database. Raises CallerError in `stored.store`, which ends the command."""
        from devgate.access.names import check_name
        from devgate.store import accounts

        account = accounts.Account(
            self.kind, check_name(name, self.kind), role, frozenset(sites) or None, proof, True,
            time.time(), provider=provider,
        )  # fmt: skip
        with store(where) as database, database.write() as conn:
            accounts.add(conn, account)

    def change(self, where: Where, name: str, changes: Mapping[str, Any]) -> None:
        """Change it in the database."""
        from devgate.store import accounts

        with store(where) as database, database.write() as conn:
            accounts.change(conn, self.kind, name, changes)

    def changed(self, where: Where, name: str) -> NoReturn:
        """End the command with what was done in the database."""
        message = f"changed the {self.kind} {name}"
        finish({"status": "200", "message": message, "name": name}, where.as_json)

    def add_list_and_remove(self, group: click.Group) -> None:
        """Add the two commands that are the same for tokens and users."""

        @self.option
        @common
        def list_(where: Where, file: str | None) -> None:
            rows = self._rows(where, file)
            if where.as_json:
                for row in rows:
                    emit(row)
            elif rows:
                say(table(["NAME", "ROLE", "SITES", "STATE", "ADDED"], map(_cells, rows)))
            else:
                none = f"no {self.kind}s; add one with `devgate {self.kind} add NAME`"
                click.echo(said(none), err=True)

        @click.argument("name")
        @YES
        @self.option
        @common
        def remove(where: Where, name: str, yes: bool, file: str | None) -> None:
            certain(f"Remove the {self.kind} {name}?", yes)
            if file is not None:
                self.load().remove(file, name)
            elif (reply := self.ask(where, "remove", name=name)) is not None:
                finish(reply, where.as_json)
            else:
                from devgate.store import accounts

                with store(where) as database, database.write() as conn:
                    accounts.remove(conn, self.kind, name)
            message = f"{self.kind} {name} removed"
            finish({"status": "200", "message": message, "name": name}, where.as_json)

        group.command("list", help=(
            f"List the {self.kind}s: names, roles, sites and when they were added.\n\n"
            f"\b\nExample:\n  devgate {self.kind} list --json"
        ))(list_)  # fmt: skip
        group.command("remove", help=(
            f"Remove the {self.kind} NAME: {self.removed}.\n\n"
            f"\b\nExample:\n  devgate {self.kind} remove {self.sample} --yes"
        ))(remove)  # fmt: skip

    def _rows(self, where: Where, file: str | None) -> list[dict[str, Any]]:
        if file is not None:
            return [
                {"name": one.name, "role": one.role, "sites": None, "enabled": True,
                 "added_at": one.created}
                for one in self.load().entries(file)
            ]  # fmt: skip
        with running(where) as channel:
            if channel is None:
                return self._stored(where)
        found = pages(where, {"type": f"{self.kind}s"}, PAGE_SIZE)
        return [row for page in found for row in page["items"]]

    def _stored(self, where: Where) -> list[dict[str, Any]]:
        from devgate.store import accounts

        with store(where) as database, database.read() as conn:
            _, everyone = accounts.everyone(conn)
        return [
            {"name": one.name, "role": one.role,
             "sites": None if one.sites is None else sorted(one.sites), "enabled": one.enabled,
             "added_at": iso(one.added_at)}
            for one in everyone if one.kind == self.kind and not one.removed
        ]  # fmt: skip


def rights(
    role: str | None, sites: tuple[str, ...], all_sites: bool, enabled: bool | None
) -> dict[str, Any]:
    """The fields of a request to change an account."""
    if sites and all_sites:
        raise click.UsageError("Either --site or --all-sites, not both.")
    return {
        "role": role,
        "sites": list(sites) or None,
        "all_sites": all_sites or None,
        "enabled": enabled,
    }


def columns(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same as changes of the database's row."""
    changes = given(role=fields["role"], enabled=fields["enabled"])
    if fields["sites"] is not None:
        changes["sites"] = frozenset(fields["sites"])
    elif fields["all_sites"]:
        changes["sites"] = None
    return changes


def something(fields: Mapping[str, Any], options: str) -> None:
    """Raise a UsageError if nothing is to be changed."""
    if all(value is None for value in fields.values()):
        raise click.UsageError(f"Say what to change: {options}.")


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    sites = row["sites"]
    state = "enabled" if row["enabled"] else "disabled"
    if row.get("invited_until"):
        state = f"invited until {clock(row['invited_until'])}"
    return row["name"], row["role"], "all" if sites is None else ", ".join(sites), state, (
        clock(row["added_at"]) or "-"
    )  # fmt: skip
