"""All that is encrypted with the key file, whatever it belongs to."""

from __future__ import annotations

from sqlalchemy import Connection, select

from devgate.store.account_tables import account
from devgate.store.alert_tables import alert_receiver
from devgate.store.webhook_tables import webhook


def secrets(conn: Connection) -> list[dict[str, str]]:
    """As they are stored. A missing key may be made only where none of them needs an earlier."""
    found = [*conn.scalars(select(webhook.c.secret))]
    for column in (alert_receiver.c.url, alert_receiver.c.secret):
        found += conn.scalars(select(column))
    found += conn.scalars(select(account.c.totp).where(account.c.totp.is_not(None)))
    return [{"secret": one} for one in found if one]
