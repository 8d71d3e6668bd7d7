"""`devgate trim`: delete what is old enough now, and say that the clock is right."""

from __future__ import annotations

import click

from devgate.cli.output import Where, common, finish
from devgate.control.client import ask


@click.command()
@common
def trim(where: Where) -> None:
    """Trust the gateway's clock, and delete what is older than gateway.toml keeps.

    The gateway does that by itself, once an hour. It does not while its clock is
    a day or more from the newest record, for the clock may be wrong: `devgate
    status` then has a line "clock". Look at `date` first: what is deleted is
    gone, and the key of a paid order that is freed starts a machine again.

    Prints how many rows it took, 50,000 of a kind at the most.

    \b
    Examples:
      devgate trim
      devgate trim --json
    """
    finish(ask(where.socket(), {"type": "trim"}), where.as_json)
