"""`devgate webhooks`: the receivers of events: list, add, change, test and remove them.

All commands ask the running gateway: only it knows which events are new.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, TextIO

import click

from devgate.cli.asking import answer, first_line
from devgate.cli.help import Group
from devgate.cli.language import said
from devgate.cli.moments import clock
from devgate.cli.output import (
    YES,
    Where,
    certain,
    common,
    options,
    table,
    with_secret,
)

NAME = click.argument("name", required=False, metavar="[NAME]")
ONE = click.argument("name")
EVENTS = click.option(
    "--events", metavar="A,B",
    help='Only these, or groups of them: command.ended,device; "" for all.',
)  # fmt: skip
SECRET = click.option(
    "--secret-file", metavar="FILE", type=click.File(encoding="utf-8"),
    help="A file whose first line is the secret that signs (whsec_...); - for stdin.",
)  # fmt: skip
MAX_SECRET = 1024  # characters
HEADER = ("NAME", "STATE", "POSITION", "LAG", "MISSED", "DELIVERED", "KEPT IN", "URL", "ERROR")
KEYS = ("name", "state", "position", "lag", "missed", "delivered_at", "kept_in", "url", "error")


@click.group(cls=Group)
@options
def webhooks() -> None:
    """Manage the receivers of events.

    They are [[webhook]] tables in gateway.toml, or are added here and kept in the database.
    The gateway must run: what it answers is in force.

    \b
    Examples:
      devgate webhooks add shop https://shop.example/devgate --events command
      devgate webhooks list
      devgate webhooks test shop
      devgate webhooks replay shop --after 4711
    """


@webhooks.command("list")
@common
def list_(where: Where) -> None:
    """List the webhooks: how far each has come, and what went wrong the last time.

    POSITION is the event up to which all was delivered, LAG how many came since, MISSED how
    many were deleted by age before they could be delivered. One that is disabled (it answered
    410, or an operator did it) gets nothing until `enable` or `replay`. KEPT IN says where it is
    changed and removed. Secrets are never shown.

    \b
    Example:
      devgate webhooks list --json | jq '.items[] | select(.state != "ok")'
    """
    answer(where, {"type": "webhooks"}, _listed)


@webhooks.command()
@ONE
@click.argument("url")
@EVENTS
@SECRET
@click.option(
    "--after", type=click.IntRange(0), metavar="N",
    help="Begin behind event number N, 0 for all that are kept; else with what comes.",
)  # fmt: skip
@common
def add(
    where: Where, name: str, url: str, events: str | None, secret_file: TextIO | None,
    after: int | None,
) -> None:  # fmt: skip
    """Add the webhook NAME, to which the gateway posts events at URL from now on.

    Its secret is made and printed, this once: the receiver needs it to check signatures. The
    gateway keeps it in its database, readable for whoever may read that. A URL on this machine
    or in a private network is refused unless [control] private_webhooks = true.

    \b
    Examples:
      devgate webhooks add shop https://shop.example/devgate
      devgate webhooks add shop https://shop.example/devgate --events command.ended --after 0
      devgate webhooks add shop https://shop.example/devgate --secret-file shop.secret
    """
    given = {"after": after, **_given(url, events, secret_file)}
    _ask(where, "webhook_add", name, given)


@webhooks.command()
@ONE
@click.option("--url", help="Where events are posted to.")
@EVENTS
@SECRET
@click.option("--new-secret", is_flag=True, help="Make another secret, and print it this once.")
@common
def edit(
    where: Where, name: str, url: str | None, events: str | None, secret_file: TextIO | None,
    new_secret: bool,
) -> None:  # fmt: skip
    """Change the webhook NAME: what is given, and nothing else. It goes on where it was.

    One of gateway.toml is changed there.

    \b
    Examples:
      devgate webhooks edit shop --events command,device.offline
      devgate webhooks edit shop --new-secret
    """
    given = _given(url, events, secret_file)
    if new_secret and secret_file is not None:
        raise click.UsageError("Either --secret-file or --new-secret.")
    if new_secret:
        given["new_secret"] = True
    if not given:
        raise click.UsageError("Say what to change, --url or --events for example.")
    _ask(where, "webhook_edit", name, given)


@webhooks.command()
@ONE
@common
def enable(where: Where, name: str) -> None:
    """Enable the webhook NAME: it goes on with the first event that it has not taken.

    \b
    Example:
      devgate webhooks enable shop
    """
    _ask(where, "webhook_edit", name, {"enabled": True})


@webhooks.command()
@ONE
@common
def disable(where: Where, name: str) -> None:
    """Disable the webhook NAME: it gets nothing until it is enabled, also after a restart.

    Its events wait in the database, as long as that keeps events.

    \b
    Example:
      devgate webhooks disable shop
    """
    _ask(where, "webhook_edit", name, {"enabled": False})


@webhooks.command()
@ONE
@YES
@common
def remove(where: Where, name: str, yes: bool) -> None:
    """Remove the webhook NAME, which was added by `add`. It gets nothing more.

    How far it has come is forgotten: added again, it begins anew. One of gateway.toml is
    removed there, and is gone with the next start of the gateway.

    \b
    Example:
      devgate webhooks remove shop --yes
    """
    certain(f"Remove {name}?", yes)
    _ask(where, "webhook_remove", name)


@webhooks.command()
@NAME
@common
def test(where: Where, name: str | None) -> None:
    """Post a test event to the webhook NAME, at once, and tell what it answered.

    NAME may be left out if there is one webhook. The event's type is webhook.test.

    \b
    Example:
      devgate webhooks test shop
    """
    _ask(where, "webhook_test", name)


@webhooks.command()
@NAME
@click.option(
    "--after", type=click.IntRange(0), required=True, metavar="N",
    help="The number of the event behind which to begin: 0 for all that are kept.",
)  # fmt: skip
@common
def replay(where: Where, name: str | None, after: int) -> None:
    """Post every event after number N to the webhook NAME, again or for the first time.

    With a number above its position, it skips what it has not taken. A disabled one is
    enabled by that. NAME may be left out if there is one webhook.

    \b
    Examples:
      devgate webhooks replay shop --after 4711
      devgate webhooks replay --after 0
    """
    _ask(where, "webhook_replay", name, {"after": after})


def _given(url: str | None, events: str | None, secret_file: TextIO | None) -> dict[str, object]:
    """The options of a webhook, as fields of a request."""
    given: dict[str, object] = {}
    if url is not None:
        given["url"] = url
    if events is not None:
        kinds = [kind.strip() for kind in events.split(",") if kind.strip()]
        given["events"] = kinds or None
    if secret_file is not None:
        given["secret"] = first_line(secret_file, "--secret-file", MAX_SECRET)
    return given


def _ask(
    where: Where, type: str, name: str | None, more: Mapping[str, object] | None = None
) -> NoReturn:
    answer(where, {"type": type, "name": name, **(more or {})}, with_secret)


def _listed(reply: Mapping[str, Any]) -> str:
    items = reply.get("items") or ()
    if not items:
        return said(
            "no webhooks: `devgate webhooks add NAME URL` adds one, or add a [[webhook]] to"
            " gateway.toml"
        )
    return table(HEADER, [[_cell(item, key) for key in KEYS] for item in items])


def _cell(item: Mapping[str, Any], key: str) -> object:
    return clock(item.get(key)) if key == "delivered_at" else item.get(key)
