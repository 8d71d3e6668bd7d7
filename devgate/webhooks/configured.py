"""Checks the [[webhook]] tables of a configuration before anything is served.

The layer of events is above that of the configuration, so `config.load` cannot check their names.
"""

from __future__ import annotations

from collections.abc import Iterator

from devgate.config.settings import Settings
from devgate.errors import SetupError
from devgate.events.kinds import must_be_known
from devgate.webhooks.public_addresses import PERMIT, literal, not_public
from devgate.webhooks.webhooks import key_in


def check(settings: Settings) -> None:
    """Raises SetupError, with file, line and key, for events and secrets of no use."""
    for number, webhook in enumerate(settings.webhook):
        try:
            must_be_known(webhook.events)
        except ValueError as err:
            where = settings.where(f"webhook.{number}.events")
            raise SetupError(f"{where}: {str(err).removeprefix('events: ')}", "400") from None
        try:
            if webhook.secret_file:
                key_in(webhook.secret_file)
        except ValueError as err:
            where = settings.where(f"webhook.{number}.secret_file")
            raise SetupError(f"{where}: {str(err).removeprefix('secret_file ')}") from None


def private(settings: Settings) -> Iterator[str]:
    """A sentence for each webhook that gets nothing: its URL has an address that is not public,
    and it is not allowed to. If it were added by command it would be refused."""
    for number, webhook in enumerate(settings.webhook):
        if not webhook.allow_private and (host := literal(webhook.url)):
            yield f"{settings.where(f'webhook.{number}.url')}: {not_public(host, PERMIT)}"
