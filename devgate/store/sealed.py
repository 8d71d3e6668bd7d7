"""All values that are encrypted with the key file."""

from __future__ import annotations

from sqlalchemy import Connection, select

from devgate.store.account_tables import account
from devgate.store.alert_tables import alert_receiver
from devgate.store.webhook_tables import webhook


def secrets(conn: Connection) -> list[dict[str, str]]:
    """The encrypted values. A missing key file may be made only if none of them needs the old
    one."""
    found = [*conn.scalars(select(webhook.c.secret))]
    for column in (alert_receiver.c.url, alert_receiver.c.secret):
        found += conn.scalars(select(column))
    found += conn.scalars(select(account.c.totp).where(account.c.totp.is_not(None)))
    return [{"secret": one} for one in found if one]
