"""`devgate user`: who may use the dashboard. Works on the user file, with the gateway running
or not.

The gateway looks at the file whenever somebody comes, so a change is in force when the command
returns.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from devgate.cli.local.namefile import handed_over, named_file, show
from devgate.cli.output import YES, Where, certain, common, finish, options

ROLES = ("read", "command", "admin")  # as `access.tokens` has them, which is not imported here

file_option = click.option(
    "--file",
    "file",
    type=click.Path(dir_okay=False),
    help="The user file; without it, the configuration's [http] users.",
)


@click.group()
@options
def user() -> None:
    """Keep the people who may use the dashboard.

    The file holds only hashes of their passwords (Argon2), and a change is in force at once.

    \b
    Examples:
      devgate user add wang --role command
      devgate user list
      devgate user remove wang
    """


@user.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default="command",
    show_default=True,
    help="read: look only; command: also start and stop; admin: everything.",
)
@click.option("--replace", is_flag=True, help="Give one that is there this role and password.")
@file_option
@common
def add(where: Where, name: str, role: str, replace: bool, file: str | None) -> None:
    """Add the user NAME; the password is asked for, or is the first line of stdin.

    \b
    Examples:
      devgate user add wang
      devgate user add wang --replace      # another password
      echo "$PASSWORD" | devgate user add screen --role read
    """
    from devgate.access import users

    file = _file(where, file)
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    with handed_over(file) as path:
        users.add(path, name, role, password, replace=replace)
    message = f"user {name} is known with the role {role}"
    finish({"status": "200", "message": message, "name": name, "role": role}, where.as_json)


@user.command("list")
@file_option
@common
def list_(where: Where, file: str | None) -> None:
    """List the users: names, roles and when they were added.

    \b
    Example:
      devgate user list --json
    """
    from devgate.access import users

    rows: list[dict[str, Any]] = [
        {"name": user.name, "role": user.role, "created": user.created}
        for user in users.entries(_file(where, file))
    ]
    show(rows, where.as_json, "no users; add one with `devgate user add NAME`")


@user.command()
@click.argument("name")
@YES
@file_option
@common
def remove(where: Where, name: str, yes: bool, file: str | None) -> None:
    """Remove the user NAME: who is logged in by that name is so no longer.

    \b
    Example:
      devgate user remove wang --yes
    """
    certain(f"Remove the user {name}?", yes)
    from devgate.access import users

    users.remove(_file(where, file), name)
    finish({"status": "200", "message": f"user {name} removed", "name": name}, where.as_json)


def _file(where: Where, file: str | None) -> str:
    return named_file(where, file, "[http] users", lambda settings: settings.http.users)
