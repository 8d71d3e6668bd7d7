"""`devgate log-level`: log more or less, without a restart."""

from __future__ import annotations

import click

from devgate.cli.output import Where, common, finish
from devgate.control.client import ask

LEVELS = click.Choice(["debug", "info", "warning", "error"])


@click.command("log-level")
@click.argument("level", type=LEVELS, required=False)
@common
def log_level(where: Where, level: str | None) -> None:
    """Log from LEVEL on: debug, info, warning or error. Without LEVEL, tell what it is.

    It holds until the configuration is reloaded, or the gateway restarted. Of a cluster, one node
    is asked.

    \b
    Examples:
      devgate log-level debug
      devgate log-level info
    """
    request = {"type": "log_level", **({} if level is None else {"level": level})}
    finish(ask(where.socket(), request), where.as_json)
