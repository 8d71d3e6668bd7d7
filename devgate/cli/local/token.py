"""`devgate token`: who may ask over HTTP and TCP. A change is in force when a command returns."""

from __future__ import annotations

from typing import Any, NoReturn

import click

from devgate.cli.help import Group
from devgate.cli.language import said
from devgate.cli.local.account import (
    AccountCommands,
    columns,
    rights,
    rights_options,
    role_option,
    sites_option,
    something,
)
from devgate.cli.local.namefile import handed_over
from devgate.cli.output import Where, common, exit_code, finish, options, say


def _tokens() -> Any:
    from devgate.access import tokens

    return tokens


TOKENS = AccountCommands("token", _tokens, "shop", "whoever shows it is refused from now on")


@click.group(cls=Group)
@options
def token() -> None:
    """Manage the tokens of web applications.

    A token is shown over HTTP ([http] listen: the API, /metrics, the dashboard's login) and
    over TCP ([control] listen). The Unix socket needs none: there the file's mode decides.
    Only hashes are kept, and a change is in force at once, at every node of a cluster.

    \b
    Examples:
      devgate token add shop
      devgate token add franchise --site "North Mall"
      devgate token list
      devgate token remove shop --yes
    """


@token.command()
@click.argument("name")
@role_option
@sites_option
@TOKENS.option
@common
def add(where: Where, name: str, role: str, sites: tuple[str, ...], file: str | None) -> None:
    """Add the token NAME and print its secret, this once.

    Without --role it may look, start and stop, and change nothing else.

    The secret goes to stdout, alone, so that a script can keep it. It is stored nowhere.

    \b
    Examples:
      devgate token add shop
      devgate token add screen --role read --site "North Mall"
    """
    message = f"token {name} added with the role {role}; keep it, it is not shown again"
    if file is not None:
        if sites:
            raise click.UsageError("A token of a file is for all sites: leave --file out.")
        with handed_over(file) as path:
            secret = _tokens().add(path, name, role)
    else:
        reply = TOKENS.ask(where, "add", name=name, role=role, sites=list(sites) or None)
        if reply is None:
            from devgate.access.tokens import new_secret

            secret, digest = new_secret()
            TOKENS.add(where, name, role, sites, digest)
        elif exit_code(reply):
            finish(reply, where.as_json)
        else:
            secret = reply["token"]
    _finish_with_secret(
        where, {"status": "200", "message": message, "name": name, "role": role}, secret
    )


@token.command()
@click.argument("name")
@rights_options
@click.option("--new-secret", is_flag=True, help="Print another secret; the old one ends.")
@common
def edit(where: Where, /, name: str, new_secret: bool, **of_rights: Any) -> None:
    """Change the token NAME: what is given, and nothing else.

    \b
    Examples:
      devgate token edit shop --disable
      devgate token edit shop --new-secret
    """
    fields = {**rights(**of_rights), "new_secret": new_secret or None}
    something(fields, "--role, --site, --all-sites, --disable or --new-secret")
    reply = TOKENS.ask(where, "edit", name=name, **fields)
    if reply is not None:
        if exit_code(reply) or not reply["token"]:
            finish(reply, where.as_json)
        _finish_with_secret(where, reply, reply["token"])
    changes, secret = columns(fields), ""
    if new_secret:
        from devgate.access import tokens

        secret, changes["proof"] = tokens.new_secret()
    TOKENS.change(where, name, changes)
    if not secret:
        TOKENS.changed(where, name)
    _finish_with_secret(
        where, {"status": "200", "message": f"changed the token {name}", "name": name}, secret
    )


def _finish_with_secret(where: Where, reply: dict[str, Any], secret: str) -> NoReturn:
    """Print the secret alone on stdout, or with --json the reply with it; and end."""
    if where.as_json:
        finish({**reply, "token": secret}, as_json=True)
    say(secret)
    click.echo(said(reply["message"]), err=True)
    raise SystemExit(0)


TOKENS.add_list_and_remove(token)
