"""`devgate trim`: confirm the clock, and delete old records now."""

from __future__ import annotations

import click

from devgate.cli.asking import answer
from devgate.cli.output import Where, common

TRIM_SECONDS = 600.0  # until its reply: 50,000 rows of a kind on a slow disk


@click.command()
@common
def trim(where: Where) -> None:
    """Confirm that the gateway's clock is right, and delete what is older than gateway.toml keeps.

    The gateway deletes by itself, once an hour. It does not while its clock is a day or more from
    the newest record, for the clock may be wrong: `devgate status` then has a line "clock". Look
    at `date` first: what is deleted is gone, and the key of a paid order that is freed starts a
    machine again.

    Prints how many rows were deleted, 50,000 of a kind at the most: run it again if there are
    more. Commands whose outcome is unknown stay until somebody has resolved them (`devgate
    unknown`). SQLite's file does not get smaller: new rows use the room.

    \b
    Examples:
      devgate trim
      devgate trim --json
    """
    answer(where, {"type": "trim"}, reply_seconds=TRIM_SECONDS)
