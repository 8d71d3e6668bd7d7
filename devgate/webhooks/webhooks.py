"""All webhooks, configured and added, and their tasks."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol

import trio

from devgate.config.webhook import WebhookSettings, key_of
from devgate.errors import SetupError
from devgate.events.kinds import must_be_known
from devgate.events.log import EventLog
from devgate.webhooks.position import Position
from devgate.webhooks.target import Target

MAX_SECRET = 1024  # bytes of a secret's file
PERMIT_ADDED = "[control] private_webhooks = true"  # what PERMIT is for those that were added

log = logging.getLogger("devgate.webhooks")


class Unusable(NamedTuple):
    """A webhook that was added by command and to which this gateway cannot post, and why."""

    name: str
    events: Sequence[str]
    why: str
    url: str = ""
    position: int = 0


class PositionStore(Protocol):
    """Stores positions. The gateway implements it with its database."""

    async def load(self) -> Mapping[str, Position]:
        """What is known of every target, by its name."""

    async def added(self) -> tuple[Sequence[WebhookSettings], Sequence[Unusable]]:
        """Those that are not in the configuration."""

    def save(self, position: Position) -> None:
        """Store the position of a target, which replaces the stored one. Never waits."""


class Webhooks:
    """Every target, by its name. Hold `changing` to add, change or end one."""

    def __init__(
        self, settings: Sequence[WebhookSettings], events: EventLog, store: PositionStore
    ) -> None:
        """Raises SetupError for what cannot be used."""
        self.targets: dict[str, Target] = {}
        self.unusable: dict[str, Unusable] = {}
        self.changing = trio.Lock()
        self._events = events
        self._store = store
        self._nursery: trio.Nursery | None = None
        self._settings = settings
        self._make()
        self.configured = frozenset(self.targets)

    def _make(self) -> None:
        self.targets.clear()
        for webhook in self._settings:
            target = Target(webhook, secret_of(webhook), self._events, self._store.save)
            self.targets[target.name] = target

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver until cancelled. Started once all positions are known. It may be run again: a
        node of a cluster does so each time that it begins to lead.

        Raises StoreError if they cannot be read then, and SetupError if a name was given to two.
        """
        if self._nursery is not None:  # another node may have delivered meanwhile
            self._nursery = None
            self._make()
        known = await self._store.load()
        added, unusable = await self._store.added()
        self.unusable = {one.name: _with_place(one, known.get(one.name)) for one in unusable}
        for webhook in added:
            if webhook.called in self.configured:
                raise SetupError(twice(webhook.called), status="400")
        if added:
            await self.load()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for target in self.targets.values():
                self._start(target, known.get(target.name))
            for webhook in added:
                self.begin(webhook, known.get(webhook.called))
            task_status.started()
            await trio.sleep_forever()

    @staticmethod
    async def load() -> None:
        """Import the HTTP client in a thread, which takes 35 ms. Call it before begin()."""
        await trio.to_thread.run_sync(import_module, "devgate.webhooks.poster")

    def begin(self, webhook: WebhookSettings, position: Position | None) -> None:
        """Deliver to one more. Raises SetupError if it cannot be used: nothing has changed."""
        assert webhook.called not in self.targets, "the caller has looked"
        target = Target(
            webhook, secret_of(webhook), self._events, self._store.save, permit=PERMIT_ADDED
        )
        self.targets[target.name] = target
        self._start(target, position)

    def _start(self, target: Target, position: Position | None) -> None:
        target.recall(position)
        log.info(
            "webhook begins target=%s position=%s state=%s",
            target.name, target.window.position, target.state,
        )  # fmt: skip
        if self._nursery is not None:
            self._nursery.start_soon(target.run, name=f"webhook {target.name}")

    async def renew(self) -> None:
        """Read changed secret files again. Raises SetupError for one that cannot be used, after
        all were read; its webhook keeps the former secret."""
        wrong: SetupError | None = None
        for webhook in self._settings:
            if not webhook.secret_file or webhook.called not in self.targets:
                continue
            try:
                key = await trio.to_thread.run_sync(secret_of, webhook)
            except SetupError as err:
                wrong = err
                continue
            target = self.targets.get(webhook.called)
            if target is not None and target.sign_with(key):
                log.info("webhook secret renewed target=%s", webhook.called)
        if wrong is not None:
            raise wrong

    async def end(self, name: str) -> Position:
        """Deliver nothing more to one. Returns how far it has come."""
        position = await self.targets[name].end()
        del self.targets[name]
        log.info("webhook ends target=%s position=%s", name, position.position)
        return position

    async def drain(self) -> None:
        """Begin no more deliveries; return when those under way have ended."""
        async with trio.open_nursery() as nursery:
            for target in self.targets.values():
                nursery.start_soon(target.drain)


def _with_place(one: Unusable, position: Position | None) -> Unusable:
    return one._replace(url=position.url, position=position.position) if position else one


def twice(name: str) -> str:
    """A sentence on a name that is in gateway.toml and was added by command, too."""
    return (
        f"[[webhook]] {name}: a webhook of that name was added by command already; give this one "
        f"another name, or start once without it and run `devgate webhooks remove {name}`"
    )


def secret_of(webhook: WebhookSettings) -> bytes:
    """The key that signs. Raises SetupError for a file or for events that cannot be used."""
    try:
        must_be_known(webhook.events)
        return key_in(webhook.secret_file) if webhook.secret_file else key_of(webhook.secret)
    except ValueError as err:
        raise SetupError(f"[[webhook]] {webhook.called}: {err}") from None


def key_in(file: str) -> bytes:
    """The key in a secret's file. Raises ValueError, with the file, where there is none."""
    try:
        with Path(file).open("rb") as opened:
            text = opened.read(MAX_SECRET).decode()
        return key_of(text.strip())
    except OSError as err:
        why = f"can't be read: {err.strerror}"
    except UnicodeDecodeError:
        why = "is not UTF-8"
    except ValueError as err:
        why = str(err)
    raise ValueError(f"secret_file {file}: {why}")
