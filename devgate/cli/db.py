"""`devgate db`: the gateway's database, for an operator. What opens it is imported when used."""

from __future__ import annotations

import click

from devgate.cli.output import Where, common, options, told
from devgate.control.client import NoGateway, ask


@click.group()
@options
def db() -> None:
    """Look after the gateway's database.

    \b
    Examples:
      devgate db confirm-loss              # after a failover that lost rows
    """


@db.command("confirm-loss")
@common
def confirm_loss(where: Where) -> None:
    """Accept starts again after the database has lost rows.

    The gateway has noticed that its database is older than what it wrote last: a replica took
    over that was behind, or a copy was restored. `devgate status` and the log say what is
    missing. It has written again what it still knew. Look at the orders of that time first:
    of what is lost for good, a key that is used again starts its machine again.

    With no gateway running, it is confirmed in the database itself.

    \b
    Example:
      devgate status && devgate db confirm-loss
    """
    try:
        reply = ask(where.socket(), {"type": "confirm_loss"})
    except NoGateway:
        from devgate.cli.stored import store
        from devgate.store.ownership import confirm_loss

        with store(where) as database, database.write() as conn:
            lost = confirm_loss(conn)
        message = f"confirmed: {lost}" if lost else "nothing was lost, nothing is changed"
        reply = {"status": "200", "message": message, "lost": lost}
    told(reply, where.as_json)
