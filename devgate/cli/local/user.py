"""`devgate user`: who may use the dashboard. Works on the user file, with the gateway running
or not.

The gateway looks at the file whenever somebody comes, so a change is in force when the command
returns.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from devgate.cli.language import said
from devgate.cli.local.namefile import Names, handed_over, role_option
from devgate.cli.output import Where, common, finish, options


def _users() -> Any:
    from devgate.access import users

    return users


USERS = Names(
    "user", "[http] users", lambda settings: settings.http.users, _users, "wang",
    "who is logged in by that name is so no longer",
)  # fmt: skip


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
@role_option
@click.option("--replace", is_flag=True, help="Give one that is there this role and password.")
@USERS.option
@common
def add(where: Where, name: str, role: str, replace: bool, file: str | None) -> None:
    """Add the user NAME; the password is asked for, or is the first line of stdin.

    \b
    Examples:
      devgate user add wang
      devgate user add wang --replace      # another password
      echo "$PASSWORD" | devgate user add screen --role read
    """
    file = USERS.file(where, file)
    if sys.stdin.isatty():
        password = click.prompt(
            said("Password"), hide_input=True, confirmation_prompt=True, err=True
        )
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    with handed_over(file) as path:
        _users().add(path, name, role, password, replace=replace)
    message = f"user {name} is known with the role {role}"
    finish({"status": "200", "message": message, "name": name, "role": role}, where.as_json)


USERS.add_list_and_remove(user)
