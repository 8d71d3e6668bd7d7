"""`devgate settings`: the configuration that the gateway works by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from devgate.cli.asking import answer
from devgate.cli.language import said
from devgate.cli.output import Where, common, table
from devgate.model import in_units

HEADER = ("SETTING", "VALUE", "SET BY", "RESTART")


@click.command()
@click.option("--all", "everything", is_flag=True, help="Show what is at its default, too.")
@common
def settings(where: Where, everything: bool) -> None:
    """Show the configuration that the gateway works by.

    What stands in gateway.toml is changed there; most keys are taken up by a SIGHUP
    (`systemctl reload devgate`), those with RESTART at the next start. SET BY is `file`,
    `environment`, `default`, or `program` in a demo. Secrets are not shown.

    \b
    Examples:
      devgate settings
      devgate settings --all
      devgate settings --json | jq '.items[] | select(.key == "command.ack_timeout")'
    """

    def listed(reply: Mapping[str, Any]) -> str:
        items = [one for one in reply["items"] if everything or one["from"] != "default"]
        file = said(f"read from {reply['file']}" if reply["file"] else "no file was read")
        if not items:
            return said(f"{file}; every key is at its default")
        rows = [
            (one["key"], value(one), said(one["from"]), said("restart") if one["restart"] else "")
            for one in items
        ]
        return f"{file}\n\n{table(HEADER, rows)}"

    answer(where, {"type": "settings"}, listed)


def value(item: Mapping[str, Any]) -> str:
    """A value as people read it."""
    given = item["value"]
    if item["secret"]:
        return "(secret)"
    if given is None or given in ("", []):
        return "-"
    if item["unit"] == "seconds":
        if given and given < 1:
            return f"{given:g} s"
        return " ".join(f"{count} {unit}" for count, unit in in_units(given))
    if isinstance(given, bool):
        return "true" if given else "false"
    return ", ".join(given) if isinstance(given, list) else str(given)
