"""`devgate webhooks`: who gets events, how far each has come, and events again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from devgate.cli.output import Where, common, options, table, told
from devgate.control.client import ask

NAME = click.argument("name", required=False, metavar="[NAME]")
HEADER = ("NAME", "STATE", "POSITION", "LAG", "MISSED", "DELIVERED", "URL", "ERROR")
KEYS = ("name", "state", "position", "lag", "missed", "delivered_at", "url", "error")


@click.group()
@options
def webhooks() -> None:
    """Look after the receivers of events, which are [[webhook]] tables in gateway.toml.

    \b
    Examples:
      devgate webhooks list
      devgate webhooks test shop
      devgate webhooks replay shop --after 4711
    """


@webhooks.command("list")
@common
def list_(where: Where) -> None:
    """List the webhooks: how far each has come, and what went wrong the last time.

    POSITION is the event up to which all was delivered, LAG how many came since, MISSED how
    many were deleted by age before they could be delivered. One that is disabled answered 410
    and gets nothing until `replay`.

    \b
    Example:
      devgate webhooks list --json | jq '.items[] | select(.state != "ok")'
    """
    told(ask(where.socket(), {"type": "webhooks"}), where.as_json, _listed)


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
    told(ask(where.socket(), _request("webhook_test", name)), where.as_json)


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
    enabled. NAME may be left out if there is one webhook.

    \b
    Examples:
      devgate webhooks replay shop --after 4711
      devgate webhooks replay --after 0
    """
    told(ask(where.socket(), {**_request("webhook_replay", name), "after": after}), where.as_json)


def _request(type: str, name: str | None) -> dict[str, object]:
    return {"type": type} if name is None else {"type": type, "name": name}


def _listed(reply: Mapping[str, Any]) -> str:
    items = reply.get("items") or ()
    if not items:
        return "no webhooks: add a [[webhook]] to gateway.toml"
    return table(HEADER, [[item.get(key) for key in KEYS] for item in items])
