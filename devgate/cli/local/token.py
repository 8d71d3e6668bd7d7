"""`devgate token`: who may ask over HTTP and TCP, kept in the token file.

The gateway may run or not: it looks at the file with every request, so a change is in force when
the command returns.
"""

from __future__ import annotations

from typing import Any

import click

from devgate.cli.language import said
from devgate.cli.local.namefile import Names, handed_over, role_option
from devgate.cli.output import Where, common, finish, options, say


def _tokens() -> Any:
    from devgate.access import tokens

    return tokens


TOKENS = Names(
    "token", "[control] tokens", lambda settings: settings.control.tokens, _tokens, "shop",
    "whoever shows it is refused from now on",
)  # fmt: skip


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
@role_option
@TOKENS.option
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
    with handed_over(TOKENS.file(where, file)) as path:
        secret = _tokens().add(path, name, role)
    message = f"token {name} added with the role {role}; keep it, it is not shown again"
    if where.as_json:
        finish(
            {"status": "200", "message": message, "name": name, "role": role, "token": secret},
            as_json=True,
        )
    say(secret)
    click.echo(said(message), err=True)


TOKENS.add_list_and_remove(token)
