"""The webhooks that were added by command, as the database has them: their positions, secrets."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import trio

from devgate.config.webhook import WebhookSettings, webhook_of
from devgate.errors import StoreError
from devgate.events.kinds import must_be_known
from devgate.gateway.storage import Records
from devgate.store import sealed
from devgate.store import webhooks as stored
from devgate.store.seal import Seal, SealError
from devgate.webhooks.position import Position
from devgate.webhooks.webhooks import Unusable

log = logging.getLogger("devgate.webhooks")


class Positions:
    """Stores the newest position of each webhook with the journal, and reads the webhooks that
    were added by command."""

    def __init__(self, records: Records, seal: Seal, *, allow_private: bool = False) -> None:
        self._records = records
        self._seal = seal
        self._allow_private = allow_private

    async def load(self) -> Mapping[str, Position]:
        """What is stored of every target, by its name. Raises StoreError."""
        rows = await self._records.read(stored.all_targets)
        return {row[0]: Position(*row) for row in rows}

    async def added(self) -> tuple[Sequence[WebhookSettings], Sequence[Unusable]]:
        """The webhooks that were added by command, and those of them that cannot be used.

        Raises StoreError.
        """
        found, unusable = [], []
        rows = await self._records.read(stored.added)
        await self._close_all(rows, await self._records.read(sealed.secrets))
        for row in rows:
            try:
                secret = await opened(self._seal, row["secret"])
                row = {**row, "secret": secret}
                found.append(settings_of(row, allow_private=self._allow_private))
            except (ValueError, SealError) as err:  # other programs write here, too
                log.error("webhook cannot be used target=%s error=%s", row["name"], err)
                unusable.append(Unusable(row["name"], _events(row), str(err)))
        return found, unusable

    async def _close_all(
        self, rows: Sequence[Mapping[str, Any]], secrets: Sequence[Mapping[str, Any]]
    ) -> None:
        """Encrypt the secrets of an earlier version, and those that other programs wrote."""
        try:
            for row in rows:
                if not self._seal.is_closed(row["secret"]):
                    secret = await closed(self._seal, row["secret"], secrets)
                    await self._records.change(stored.change, row["name"], {"secret": secret})
                    log.info("webhook secret encrypted target=%s", row["name"])
        except (SealError, StoreError) as err:
            log.error("webhook secrets stay in the database as they are error=%s", err)

    def save(self, position: Position) -> None:
        """As PositionStore.save(): posted, with the newest one replacing what waits."""
        self._records.target(position)


async def opened(seal: Seal, text: str) -> str:
    """The secret that the database has in this form. Raises SealError."""
    return await trio.to_thread.run_sync(seal.open, text)


async def closed(seal: Seal, secret: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """A secret as the database has it. A missing key is made if no row needs an earlier one.
    Raises SealError."""
    may_make = not any(seal.is_closed(row["secret"]) for row in rows)
    return await trio.to_thread.run_sync(partial(seal.close, secret, may_make=may_make))


async def must_close(records: Records, seal: Seal, secret: str) -> str:
    """closed(). Raises StoreError where it cannot be encrypted: it is not stored in the clear."""
    rows = await records.read(sealed.secrets)
    try:
        return await closed(seal, secret, rows)
    except SealError as err:
        raise StoreError(f"secret: {err}") from None


def settings_of(row: Mapping[str, object], *, allow_private: bool) -> WebhookSettings:
    """A row of the database. Raises ValueError for one that is no webhook."""
    webhook = webhook_of(
        {
            "name": row["name"],
            "url": row["url"],
            "secret": row["secret"],
            "events": _events(row),
            "allow_private": allow_private,
        }
    )
    must_be_known(webhook.events)
    return webhook


def _events(row: Mapping[str, object]) -> list[str]:
    return [name for name in str(row["events"]).split(",") if name]
