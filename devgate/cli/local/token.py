"""`devgate token`: who may ask over HTTP and TCP, kept in the token file.

The gateway may run or not: it looks at the file with every request, so a change is in force when
the command returns.
"""

from __future__ import annotations

from typing import Any

import click

from devgate.cli.local.namefile import handed_over, named_file, show
from devgate.cli.output import YES, Where, certain, common, finish, options, say

ROLES = ("read", "command", "admin")  # as `access.tokens` has them, which is not imported here

file_option = click.option(
    "--file",
    "file",
    type=click.Path(dir_okay=False),
    help="The token file; without it, the configuration's [control] tokens.",
)


@click.group()
@options
def token() -> None:
    """Keep the tokens of web applications.

    A token is shown over HTTP ([http] listen: the API, /metrics, the dashboard's login) and
    over TCP ([control] listen). The Unix socket needs none: there the file's mode decides.
    The file holds only hashes, and a change is in force at once.

    \b
    Examples:
      devgate token add shop
      devgate token list
      devgate token remove shop --yes
    """


@token.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default="command",
    show_default=True,
    help="read: look only; command: also start and stop; admin: everything.",
)
@file_option
@common
def add(where: Where, name: str, role: str, file: str | None) -> None:
    """Add the token NAME and print its secret, this once.

    Without --role it may look, start and stop, and change nothing else.

    The secret goes to stdout, alone, so that a script can keep it. It is stored nowhere.

    \b
    Examples:
      devgate token add shop
      devgate token add screen --role read --file /etc/devgate/tokens
    """
    from devgate.access import tokens

    with handed_over(_file(where, file)) as path:
        secret = tokens.add(path, name, role)
    message = f"token {name} added with the role {role}; keep it, it is not shown again"
    if where.as_json:
        finish(
            {"status": "200", "message": message, "name": name, "role": role, "token": secret},
            as_json=True,
        )
    say(secret)
    click.echo(message, err=True)


@token.command("list")
@file_option
@common
def list_(where: Where, file: str | None) -> None:
    """List the tokens: names, roles and when they were added.

    \b
    Example:
      devgate token list --json
    """
    from devgate.access import tokens

    rows: list[dict[str, Any]] = [
        {"name": token.name, "role": token.role, "created": token.created}
        for token in tokens.entries(_file(where, file))
    ]
    show(rows, where.as_json, "no tokens; add one with `devgate token add NAME`")


@token.command()
@click.argument("name")
@YES
@file_option
@common
def remove(where: Where, name: str, yes: bool, file: str | None) -> None:
    """Remove the token NAME: whoever shows it is refused from now on.

    \b
    Example:
      devgate token remove shop --yes
    """
    certain(f"Remove the token {name}?", yes)
    from devgate.access import tokens

    tokens.remove(_file(where, file), name)
    finish({"status": "200", "message": f"token {name} removed", "name": name}, where.as_json)


def _file(where: Where, file: str | None) -> str:
    return named_file(where, file, "[control] tokens", lambda settings: settings.control.tokens)
