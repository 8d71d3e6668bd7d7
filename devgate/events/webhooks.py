"""All webhooks: from what is configured to tasks that deliver."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import trio

from devgate.config.webhook import WebhookSettings, key_of
from devgate.errors import SetupError
from devgate.events.kinds import KINDS
from devgate.events.log import EventLog
from devgate.events.target import Kept, Target

MOST_SECRET = 1024  # bytes of a secret's file

log = logging.getLogger("devgate.webhooks")


class Keeper(Protocol):
    """Who keeps positions; the gateway fills it with its database."""

    async def load(self) -> Mapping[str, Kept]:
        """What is known of every target, by its name."""

    def save(self, kept: Kept) -> None:
        """Keep this, in the place of what was kept of the target. Never waits."""


class Webhooks:
    """Every configured target, by its name."""

    def __init__(
        self, settings: Sequence[WebhookSettings], events: EventLog, keeper: Keeper
    ) -> None:
        """Raises SetupError for what cannot be used."""
        self.targets: dict[str, Target] = {}
        self._keeper = keeper
        for webhook in settings:
            target = Target(webhook, secret_of(webhook), events, keeper.save)
            self.targets[target.name] = target

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver for ever; without targets, return. Started once all positions are known.

        Raises StoreError if they cannot be read then.
        """
        if self.targets:
            known = await self._keeper.load()
            for target in self.targets.values():
                target.recall(known.get(target.name))
                log.info(
                    "webhook begins target=%s position=%s state=%s",
                    target.name, target.window.position, target.state,
                )  # fmt: skip
        task_status.started()
        async with trio.open_nursery() as nursery:
            for target in self.targets.values():
                nursery.start_soon(target.run, name=f"webhook {target.name}")

    async def drain(self) -> None:
        """Begin no more deliveries; return when those under way have ended."""
        async with trio.open_nursery() as nursery:
            for target in self.targets.values():
                nursery.start_soon(target.drain)


def secret_of(webhook: WebhookSettings) -> bytes:
    """The key that signs. Raises SetupError for a file or for events that cannot be used."""
    groups = {kind.partition(".")[0] for kind in KINDS}
    for name in webhook.events:
        if name not in KINDS and name not in groups:
            expected = ", ".join((*sorted(groups), *KINDS))
            raise SetupError(
                f"[[webhook]] {webhook.called}: events: no event is called {name!r}; "
                f"there are {expected}"
            )
    if not webhook.secret_file:
        return key_of(webhook.secret)
    try:
        with Path(webhook.secret_file).open("rb") as file:
            text = file.read(MOST_SECRET).decode()
        return key_of(text.strip())
    except OSError as err:
        why = f"can't be read: {err.strerror}"
    except UnicodeDecodeError:
        why = "is not UTF-8"
    except ValueError as err:
        why = str(err)
    raise SetupError(f"[[webhook]] {webhook.called}: secret_file {webhook.secret_file}: {why}")
