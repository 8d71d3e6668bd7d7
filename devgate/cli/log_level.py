"""`devgate log-level`: log more or less, without a restart."""

from __future__ import annotations

import click

from devgate.cli.asking import answer, given
from devgate.cli.output import Where, common

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
    answer(where, {"type": "log_level", **given(level=level)})
