"""One node of a cluster: its claims, the other nodes as it sees them, and its work as leader."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

import trio
from trio_util import AsyncValue

from devgate.errors import StoreError
from devgate.gateway.background import Background
from devgate.gateway.clock import time
from devgate.gateway.commands.running import Running
from devgate.gateway.devices.presence import Presence
from devgate.gateway.nodes import estate
from devgate.gateway.nodes.claimed import Claimed
from devgate.gateway.nodes.dispatcher import NodeDispatcher
from devgate.gateway.nodes.following import Following
from devgate.gateway.nodes.leading import Leadership
from devgate.gateway.nodes.records import NodeRecords
from devgate.gateway.nodes.registrations import Registrations
from devgate.model import Imei
from devgate.store import history
from devgate.store.node_commits import Claim, Committed
from devgate.store.node_journal import NodeJournal
from devgate.store.node_orphans import SLICE_ROWS
from devgate.store.node_session import NodeSession, NodesSeen
from devgate.store.nodes import BEAT_SECONDS, Member, Node

DRAINED = "its node is drained"
MAX_CLOSED = 500  # connections that a drained node closes in a second
ELSEWHERE = "it has registered at another node"  # a reason why a connection ends
PRUNE_SECONDS = 60.0
SWEEP_SECONDS = 10.0  # between two searches of the leader for rows of dead nodes

log = logging.getLogger("devgate.nodes")


class ClusterNode:
    """What this process knows of the cluster, and does in it."""

    def __init__(
        self,
        member: Member,
        journal: NodeJournal,
        session: NodeSession,
        records: NodeRecords,
        presence: Presence,
        claimed: Claimed,
        dispatcher: NodeDispatcher,
        running: Running,
        following: Following,
        background: Background,
        registrations: Registrations,
    ) -> None:
        self.node = member.id
        self.incarnation = member.incarnation
        self.nodes: Sequence[Node] = ()  # as they were seen last
        self.leadership = Leadership()
        # An operator wants its devices at other nodes.
        self.draining = AsyncValue(False)
        # Set once the others can reach this node: until then it leads nobody.
        self.reachable = trio.Event()
        self._journal = journal
        self._session = session
        self._records = records
        self._presence = presence
        self._claimed = claimed
        self._dispatcher = dispatcher
        self._running = running
        self._following = following
        self._background = background
        self._registrations = registrations
        self._runs = 0  # how many of its devices run, as counted last
        self._lost: str | None = None  # what the database had lost at the last commit
        self._sweep = True  # rows of dead nodes are to be searched for

    def address(self, node: str) -> str | None:
        """Where another living node is reached."""
        for one in self.nodes:
            if one.id == node and one.alive:
                return one.address
        return None

    def name(self, incarnation: int) -> str | None:
        """The living node with this incarnation."""
        for one in self.nodes:
            if one.incarnation == incarnation and one.alive:
                return one.id
        return None

    def committed(self, done: Committed) -> None:
        """Act on what a commit has done, before those who wait for it are called back."""
        for fate, why in done.fates:
            fate.why = why
        self._following.committed(done.events)
        for claim in done.claims:
            self._claim(claim)
        for command in done.foreign.values():
            if command is not None:
                self._dispatcher.not_ended_here(command)
        for imei, generation in done.moved:
            self._moved(Imei(imei), generation)
        if done.rewritten:
            self._dispatcher.soon(self._claim_all)
        if self._lost is not None and done.lost is None:
            self._records.well()  # it was confirmed, perhaps at another node
        self._lost = done.lost
        self.draining.value = done.draining
        self._journal.devices = len(self._presence)
        self._journal.running = self._runs
        self._journal.in_flight = self._dispatcher.in_flight

    def _claim(self, claim: Claim) -> None:
        imei = Imei(claim.imei)
        if not claim.won:
            self._moved(imei, claim.generation)
            return
        self._claimed.won(imei, claim.generation)
        if not claim.current:
            if claim.running_until is not None:
                self._running.load({imei: claim.running_until})
            self._dispatcher.adopt(claim)
        self._dispatcher.ready(imei)

    def _moved(self, imei: Imei, generation: int) -> None:
        if self._claimed.gone(imei, generation):
            log.info("device is at another node imei=%s connection=%s", imei, generation)
            self._presence.end(imei, ELSEWHERE)
        if self._claimed.get(imei) is None and not self._claimed.waits(imei):
            self._dispatcher.release(imei)

    def on_event(self, event: Sequence[Any]) -> None:
        """An event that another node may have written."""
        _, type, imei, command, _, _ = event
        if type in ("command.ended", "command.late") and self._dispatcher.follows(command):
            self._dispatcher.soon(partial(self._ended_elsewhere, command))
        elif type in ("device.online", "device.taken_over", "device.offline") and imei is not None:
            self._claimed_by_somebody(Imei(imei))

    def _claimed_by_somebody(self, imei: Imei) -> None:
        """If it was not this node, it learns that by its own claim, which has the time of its
        registration and loses to a later one. One that has died may have had the device, too."""
        if self._claimed.get(imei) is not None:
            self._claimed.again(imei)
        elif self._dispatcher.has(imei):
            self._dispatcher.soon(partial(self._check, imei))

    async def _claim_all(self) -> None:
        """The database has lost rows, and they were written again. Claim all devices: that shows
        which node has each, and its commands."""
        for number, imei in enumerate(self._presence.imeis(), 1):
            self._presence.claim(imei)
            if not number % SLICE_ROWS:
                await trio.lowlevel.checkpoint()

    async def _check(self, imei: Imei) -> None:
        """A device has left, and its commands are here. Release them if another node has it."""
        try:
            rows = await self._records.read(history.presence_of, [imei])
        except StoreError:
            return
        elsewhere = imei in rows and rows[imei]["incarnation"] != self.incarnation
        if elsewhere and self._presence.get(imei) is None:
            self._dispatcher.release(imei)

    async def _ended_elsewhere(self, command: str) -> None:
        try:
            row = await self._records.read(history.by_id, command)
        except StoreError:
            return  # run() asks again for all commands that are away
        if row is None:
            return
        if row["state"] == "ended":
            self._dispatcher.ended_elsewhere(row)
        elif row["state"] == "waiting" and row["incarnation"] == self.incarnation:
            self._dispatcher.reclaim(row)

    async def run(self) -> NoReturn:
        """Look at the other nodes, and settle the rows of dead ones, for ever."""
        swept = pruned = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._following.run, self._background)
            nursery.start_soon(self._drain)
            nursery.start_soon(self._registrations.run)
            while True:
                await self._background.attempt("nodes", self._look)
                self._runs = len(self._running.imeis())
                now = trio.current_time()
                if self._sweep or (self.leadership.held and now - swept > SWEEP_SECONDS):
                    self._sweep, swept = False, now
                    await self._background.attempt("estate", self._settle)
                for command in list(self._dispatcher.away):
                    await self._ended_elsewhere(command)
                if now - pruned > PRUNE_SECONDS:
                    pruned = now
                    self._claimed.prune()
                with trio.move_on_after(BEAT_SECONDS):
                    if not self.reachable.is_set():
                        await self.reachable.wait()
                        continue  # it may lead as soon as it has a door
                    await trio.sleep_forever()
        raise AssertionError("it looks for ever")

    async def _drain(self) -> NoReturn:
        """While this node is drained, close some of its devices' connections in each second: they
        register at other nodes. A device with a command waits until that has ended."""
        while True:
            await self.draining.wait_value(True)
            remaining = MAX_CLOSED
            for imei in self._presence.imeis():
                if remaining and not self._dispatcher.busy(imei):
                    self._presence.end(imei, DRAINED)
                    remaining -= 1
            await trio.sleep(1.0)

    async def _look(self) -> None:
        may_lead = self.reachable.is_set() and not self.draining.value
        try:
            seen: NodesSeen = await self._records.blocking(
                partial(self._session.look, may_lead=may_lead)
            )
        except BaseException:
            self.leadership.set(False)
            raise
        self.nodes = seen.nodes
        self._sweep = self._sweep or seen.died
        self.leadership.set(seen.leads)

    async def _settle(self) -> None:
        try:
            for step in estate.STEPS:
                count = SLICE_ROWS
                while estate.more(count):
                    at = time() + self._journal.clock_ahead
                    count = await self._records.change(step, at)
        except StoreError:
            self._sweep = True  # the next look begins it again
            raise

    async def correct(self) -> None:
        """This incarnation ends. Commands that are on disk as sent, and were not sent, are no 408:
        correct them. Raises StoreError."""
        if unsent := dict(self._dispatcher.unsent):
            at = time() + self._journal.clock_ahead
            await self._records.change(estate.correct, at, unsent)
