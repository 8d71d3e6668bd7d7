"""`devgate user`: who may use the dashboard. A change is in force when the command returns."""

from __future__ import annotations

import sys
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
from devgate.cli.output import Where, common, finish, options
from devgate.control.client import Reply


def _users() -> Any:
    from devgate.access import users

    return users


USERS = AccountCommands("user", _users, "wang", "who is logged in by that name is so no longer")

provider_option = click.option(
    "--provider", is_flag=True, help="No password: the user logs in through [http.oidc]."
)


@click.group(cls=Group)
@options
def user() -> None:
    """Manage the people who may use the dashboard.

    Only hashes of their passwords are kept (Argon2), and a change is in force at once, at every
    node of a cluster.

    \b
    Examples:
      devgate user add wang --role command
      devgate user add 王芳 --site "North Mall" --invite
      devgate user list
      devgate user remove wang
    """


@user.command()
@click.argument("name")
@role_option
@sites_option
@click.option("--invite", is_flag=True, help="No password: print a word to set one with, once.")
@provider_option
@click.option("--replace", is_flag=True, help="Give one that is there this role and password.")
@USERS.option
@common
def add(
    where: Where,
    name: str,
    role: str,
    sites: tuple[str, ...],
    invite: bool,
    provider: bool,
    replace: bool,
    file: str | None,
) -> None:
    """Add the user NAME; the password is asked for, or is the first line of stdin.

    With --invite there is no password: the word that is printed sets one, once, within seven
    days, at https://.../invitation?word=WORD of the dashboard. With --provider there is none,
    either: the user logs in through the provider that [http.oidc] names, which calls him NAME.

    \b
    Examples:
      devgate user add wang
      devgate user add wang --replace      # another password
      devgate user add 王芳 --site "North Mall" --invite
      devgate user add anna --role admin --provider
      echo "$PASSWORD" | devgate user add screen --role read
    """
    if invite and (replace or file):
        raise click.UsageError("--invite goes with neither --replace nor --file.")
    if provider and (invite or replace or file):
        raise click.UsageError("--provider goes with neither --invite, --replace nor --file.")
    password = None if invite or provider else _password()
    message = f"user {name} is known with the role {role}"
    done = {"status": "200", "message": message, "name": name, "role": role}
    if file is not None:
        assert password is not None
        if sites:
            raise click.UsageError("A user of a file is for all sites: leave --file out.")
        with handed_over(file) as path:
            _users().add(path, name, role, password, replace=replace)
        finish(done, where.as_json)
    fields: dict[str, Any] = {
        "name": name,
        "role": role,
        "sites": list(sites) or None,
        "password": password,
        "provider": provider or None,
    }
    reply = USERS.ask(where, "add", **fields)
    if reply is not None and reply.get("status") == "409" and replace:
        if not sites:
            fields["all_sites"] = True
        reply = USERS.ask(where, "edit", **fields)
    if reply is not None:
        _finish(where, reply)
    if provider:
        USERS.add(where, name, role, sites, "", provider=True)
        finish(done, where.as_json)
    if password is None:
        raise click.UsageError("Nobody can be invited while no gateway runs: give a password.")
    _add(where, name, role, sites, password, replace=replace)
    finish(done, where.as_json)


def _add(
    where: Where, name: str, role: str, sites: tuple[str, ...], password: str, *, replace: bool
) -> None:
    """Add a user to the database, or give an existing one this role and password."""
    from devgate.access.names import check_password
    from devgate.errors import CallerError

    check_password(password)
    proof = _users().hash_of(password)
    if replace:
        changes = {"role": role, "sites": frozenset(sites) or None, "proof": proof}
        from devgate.cli.local.stored import store
        from devgate.store import accounts

        with store(where) as database, database.write() as conn:
            try:
                accounts.change(conn, "user", name, changes)
            except CallerError:
                pass
            else:
                return
    USERS.add(where, name, role, sites, proof)


@user.command()
@click.argument("name")
@rights_options
@click.option("--password", is_flag=True, help="Ask for another password; the sessions end.")
@click.option("--invite", is_flag=True, help="Print a word to set another password with, once.")
@click.option("--no-second-factor", is_flag=True, help="Turn the second factor off.")
@provider_option
@common
def edit(
    where: Where,
    /,
    name: str,
    password: bool,
    invite: bool,
    no_second_factor: bool,
    provider: bool,
    **of_rights: Any,
) -> None:
    """Change the user NAME: what is given, and nothing else.

    \b
    Examples:
      devgate user edit wang --site North --site South
      devgate user edit wang --disable
      devgate user edit wang --password
    """
    given = rights(**of_rights)
    fields = {**given, "password": _password() if password else None, "invite": invite or None}
    fields |= {"no_second_factor": no_second_factor or None, "provider": provider or None}
    if provider and (password or invite):
        raise click.UsageError("--provider goes with neither --password nor --invite.")
    something(fields, "--role, --site, --all-sites, --disable, --password or --invite")
    reply = USERS.ask(where, "edit", name=name, **fields)
    if reply is not None:
        _finish(where, reply)
    if invite:
        raise click.UsageError("Nobody can be invited while no gateway runs: give a password.")
    changes = columns(given)
    if provider:
        changes |= {"provider": True, "subject": None, "proof": "", "invited": None}
    elif password:
        changes |= {"provider": False, "subject": None}
    if no_second_factor or provider:
        changes |= {"totp": None, "totp_step": None, "recovery": None}
    if password:
        from devgate.access.names import check_password

        check_password(fields["password"])
        changes["proof"] = _users().hash_of(fields["password"])
    USERS.change(where, name, changes)
    USERS.changed(where, name)


def _finish(where: Where, reply: Reply) -> NoReturn:
    """Print the reply, with the invitation that it may have."""
    if reply.get("invitation"):
        reply["message"] += f"; the invitation is {_page_of(reply)}"
    finish(reply, where.as_json)


def _page_of(reply: Reply) -> str:
    """The path of the page that sets the password, with a few words about it."""
    return f"/invitation?word={reply['invitation']} at the dashboard, once, within seven days"


def _password() -> str:
    if sys.stdin.isatty():
        return str(
            click.prompt(said("Password"), hide_input=True, confirmation_prompt=True, err=True)
        )
    if not (password := sys.stdin.readline().rstrip("\r\n")):
        raise click.UsageError("No password came on stdin: give one there, or use --invite.")
    return password


USERS.add_list_and_remove(user)
