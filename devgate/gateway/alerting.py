"""Alerts: what rules find, who gets messages, and what of that is on disk.

This runs in every gateway. In a cluster the leading node looks and sends the messages. Only a
database that fails is reported by each node that sees it, because then no node leads.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

import trio

from devgate.alerts.certificates import Certificates
from devgate.alerts.courier import Courier, Letter, SendResult
from devgate.alerts.engine import Watch
from devgate.alerts.letters import letter_of, named
from devgate.alerts.mailbox import Mailbox
from devgate.alerts.receiver import Receiver
from devgate.alerts.rule import Rule
from devgate.gateway.alert_looks import Looks
from devgate.gateway.alert_record import AlertRecord
from devgate.gateway.background import Background
from devgate.gateway.clock import time
from devgate.gateway.storage import Records
from devgate.store import accounts, zones
from devgate.store import alerts as stored
from devgate.store.seal import Seal, SealError

LOOK_SECONDS = 30.0  # between two looks at what rules are about
STORE_LOOK_SECONDS = 5.0  # ... and at whether the database can be written

Look = Callable[[], Awaitable[Sequence[Mapping[str, Any]]]]

log = logging.getLogger("devgate.alerts")


class Alerts:
    """Rules, receivers, and messages to be sent. Whoever changes rules or receivers on disk holds
    `changing`."""

    def __init__(
        self,
        records: Records,
        seal: Seal,
        background: Background,
        certificates: Certificates,
        look: Look,
        *,
        allow_private: bool,
        leads: Callable[[], bool] = lambda: True,
        node: str = "",
        zone: Callable[[], str] = lambda: "UTC",
        maintained: Callable[[str, str], bool] = lambda imei, site: False,
    ) -> None:
        """`look` gives what needs attention; `leads`: this node looks for all; `zone`: of sites
        without their own; `maintained`: whether that machine or its site is in maintenance."""
        self.changing = trio.Lock()
        self.receivers: dict[str, Receiver] = {}
        self.mailboxes: dict[str, Mailbox] = {}
        self.watches: dict[str, Watch] = {}
        self.courier = Courier(allow_private=allow_private)
        self.record = AlertRecord(records)
        self._records = records
        self._seal = seal
        self._background = background
        self._looks = Looks(records, certificates, look, maintained)
        self._leads = leads
        self._zone = zone
        self._node = node
        self._led = False
        self._scopes: dict[str, trio.CancelScope] = {}
        self._nursery: trio.Nursery | None = None
        self._wake = trio.Event()

    async def run(self) -> NoReturn:
        """Look at what rules are about, every LOOK_SECONDS seconds. What fails is tried again."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await self._background.until_done("alerts", self.reload)
            nursery.start_soon(self._watch_store)
            while True:
                await self._background.attempt("alerts", self.round)
                self._wake = trio.Event()
                with trio.move_on_after(LOOK_SECONDS):
                    await self._wake.wait()
        raise AssertionError

    def soon(self) -> None:
        """Look at once: a rule has changed."""
        self._wake.set()

    # Rules and receivers

    async def reload(self) -> None:
        """Read rules and receivers from the database, and apply them. Raises StoreError."""
        rules, receivers = await self._records.read(_read_stored, self._zone())
        for name in [name for name in self.watches if name not in rules]:
            del self.watches[name]
        for name, rule in rules.items():
            old = self.watches.get(name)
            if old is None or not old.rule.finds_as(rule) or old.rule.added_at != rule.added_at:
                self.watches[name] = Watch(rule)
            else:
                old.rule = rule
                old.keep_within(rule.sites)  # its owner may see fewer by now
        self._receive(receivers)

    def _receive(self, receivers: Mapping[str, Receiver]) -> None:
        for name in [name for name in self.mailboxes if name not in receivers]:
            self._scopes.pop(name).cancel()
            self.mailboxes.pop(name).close()
        self.receivers = dict(receivers)
        for name in receivers:
            if name not in self.mailboxes and self._nursery is not None:
                box = Mailbox(partial(self._send, name), partial(self._tried, name))
                self.mailboxes[name] = box
                self._scopes[name] = scope = trio.CancelScope()
                self._nursery.start_soon(self._within, scope, box.run, name=f"alerts to {name}")

    @staticmethod
    async def _within(scope: trio.CancelScope, run: Callable[[], Awaitable[object]]) -> None:
        with scope:
            await run()

    # Looking

    async def round(self) -> None:
        """Look once at what rules are about, and send what is due. Raises StoreError."""
        leads = self._leads()
        if leads != self._led:
            await self._begin_anew()
            self._led = leads
        else:
            await self.reload()  # other nodes change rules, and people zones of sites
        if not leads:
            return
        watches = [one for one in self.watches.values() if _is_looked_at(one)]
        if watches:
            await self._records.flushed()
            await self._looks.all(watches, time())
            for watch in watches:
                self._tell(watch, time())
        await self._save()

    async def _begin_anew(self) -> None:
        """Read again what fires: another node may have looked until now."""
        for name, watch in self.watches.items():
            if watch.rule.kind != "store":
                self.watches[name] = Watch(watch.rule)
        self._looks.forget()
        await self.reload()
        rows: dict[str, list[Mapping[str, Any]]] = {}
        for row in await self._records.read(stored.firing):
            rows.setdefault(row["rule"], []).append(row)
        for name, watch in self.watches.items():
            if watch.rule.kind != "store":
                watch.restore(rows.get(name, ()))

    async def _watch_store(self) -> NoReturn:
        while True:
            await trio.sleep(STORE_LOOK_SECONDS)
            for watch in self.watches.values():
                if watch.rule.kind == "store" and watch.rule.enabled:
                    self._looks.at_store(watch, self._node, time())
                    self._tell(watch, time())

    # Messages

    def _tell(self, watch: Watch, now: float) -> None:
        message = watch.message(now)
        if message is None:
            return
        rule = watch.rule
        if count := len(message.fired) + message.more:
            log.warning("alert fired rule=%s kind=%s count=%s", rule.name, rule.kind, count)
            self._records.event("alert.fired", None, rule=rule.name, kind=rule.kind, count=count,
                                subjects=named(message.fired))  # fmt: skip
        if count := len(message.cleared):
            log.info("alert cleared rule=%s kind=%s count=%s", rule.name, rule.kind, count)
            self._records.event("alert.cleared", None, rule=rule.name, kind=rule.kind,
                                count=count, subjects=named(message.cleared))  # fmt: skip
        boxes = [
            (self.mailboxes[name], self.receivers[name])
            for name in rule.receivers
            if name in self.mailboxes and self.receivers[name].enabled
        ]
        unsettled = len(boxes)

        def settled() -> None:
            nonlocal unsettled
            unsettled -= 1
            if unsettled <= 0:
                watch.delivered(message, time())
                if self._nursery is not None and rule.kind != "store":
                    self._nursery.start_soon(self._background.attempt, "alerts", self._save)

        for box, receiver in boxes:
            box.put(letter_of(message, receiver.language), settled)
        if not boxes:
            settled()

    async def _send(self, name: str, letter: Letter, slow: bool) -> SendResult:
        try:
            url, secret = await self.opened(self.receivers[name])
            return await self.courier.send(url, secret, letter, slow=slow)
        except SealError as err:
            return SendResult(False, str(err))
        except Exception:  # one receiver ends neither the others nor the gateway
            log.exception("alert crashed receiver=%s", name)
            return SendResult(False, "it could not be sent: the gateway's log says why")

    async def opened(self, receiver: Receiver) -> tuple[str, str]:
        """The URL and the secret of a receiver. Raises SealError."""

        def in_thread() -> tuple[str, str]:
            return self._seal.open(receiver.url), self._seal.open(receiver.secret)

        return await trio.to_thread.run_sync(in_thread)

    def _tried(
        self, name: str, letter: Letter, result: SendResult, tries: int, last: bool
    ) -> None:
        self.record.note(name, letter, result, tries, last)
        if self._nursery is not None:
            self._nursery.start_soon(self._background.attempt, "alerts", self.record.write)

    # On disk

    async def _save(self) -> None:
        """Write the changes of what fires."""
        await self.record.write()
        async with self.changing:  # otherwise a rule that is being removed could leave rows
            if not self._leads():
                return
            watches = [one for one in self.watches.values() if one.rule.kind != "store"]
            unsaved = [(one, one.changed, one.gone) for one in watches if one.changed or one.gone]
            if not unsaved:
                return
            rows = [watch.row(id) for watch, changed, _ in unsaved for id in changed]
            gone = [(watch.rule.name, id) for watch, _, cleared in unsaved for id in cleared]
            for watch, _, _ in unsaved:
                watch.changed, watch.gone = set(), set()
            try:
                await self._records.change(stored.save_firing, rows, gone)
            except BaseException:
                for watch, changed, cleared in unsaved:
                    watch.changed |= {id for id in changed if id in watch.firing}
                    watch.gone |= {id for id in cleared if id not in watch.firing}
                raise


def _read_stored(conn: Any, default: str) -> tuple[dict[str, Rule], dict[str, Receiver]]:
    """Rules with the zones and the sites that are in force, and receivers."""
    rules = {row["name"]: Rule.of(row) for row in stored.rules(conn)}
    site_zones = zones.zones_of(
        conn, {one.site for one in rules.values() if one.site and not one.zone}
    )
    owners = {rule.owner for rule in rules.values() if rule.sites is not None}
    allowed = accounts.sites_of(conn, owners)
    for name, rule in rules.items():
        if not rule.zone:
            rule = replace(rule, zone=site_zones.get(rule.site, default))
        if rule.sites is not None:  # only those that its owner may still see
            owned = allowed.get(rule.owner, frozenset())
            rule = replace(rule, sites=rule.sites if owned is None else rule.sites & owned)
        rules[name] = rule
    return rules, {row["name"]: Receiver.of(row) for row in stored.receivers(conn)}


def _is_looked_at(watch: Watch) -> bool:
    return watch.rule.enabled and watch.rule.kind != "store"
