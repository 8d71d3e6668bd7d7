"""From what a caller orders to a command: keys, refusals, and the wait for the outcome."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import trio

from devgate.errors import CallerError, DevgateError, StoreError
from devgate.gateway.clock import time
from devgate.gateway.command import Command, Order
from devgate.gateway.commands.device_commands import Connected
from devgate.gateway.commands.dispatcher import Dispatcher
from devgate.gateway.commands.ids import Ids
from devgate.gateway.commands.keys import Keys
from devgate.gateway.commands.running import Running
from devgate.gateway.commands.sending import CONTESTED, MAINTAINED, RUNS
from devgate.gateway.commands.spent_keys import SpentKeys
from devgate.gateway.known.directory import Directory
from devgate.gateway.quarantine import Refusal, Rule
from devgate.gateway.storage import Records
from devgate.model import Imei
from devgate.store import history

# Called once, with the command or with the error of an order that was not taken.
OnDone = Callable[[Command | Exception], None]


class TakesOrders(Protocol):
    """What carries out orders: `Orders`, or a node of a cluster, which may forward them."""

    closed: bool  # the gateway is stopping

    @property
    def ids(self) -> Ids:
        """Where commands have their ids from."""

    def close(self) -> None:
        """The gateway stops: no more orders are taken."""

    def bar(self, rule: Rule | None) -> None:
        """Refuse from now on what this rule refuses; None: nothing."""

    def submit(self, order: Order, wait: bool, on_done: Callable[[Any], None]) -> None:
        """Carry out the order. Calls back with its Command, an error, or another node's reply."""


STOPS: Refusal = "503", None, None


class Orders:
    """Takes orders. An order that was taken goes on when its caller is gone."""

    def __init__(
        self,
        directory: Directory,
        connected: Connected,
        dispatcher: Dispatcher,
        running: Running,
        records: Records,
        keys: Keys,
    ) -> None:
        self.closed = False  # the gateway is stopping
        # Refuses orders: one call for each start, whatever the reasons are (quarantine, stopping).
        self._rule: Rule | None = None
        self.ids = Ids()
        self._directory = directory
        self._maintenance = directory.maintenance
        self._connected = connected
        self._dispatcher = dispatcher
        self._running = running
        self._records = records
        self._keys = keys
        self._spent = SpentKeys()
        self._looking: dict[str, trio.Event] = {}  # keys that are being looked up
        # By device: orders whose keys are looked up, and those behind them. The first is in work.
        self._queues: dict[Imei, deque[tuple[Order, bool, OnDone]]] = {}
        self._worked_off = trio.lowlevel.ParkingLot()  # who waits until there are none

    def close(self) -> None:
        """The gateway stops: no more orders are taken."""
        self.closed = True
        self._rule = lambda order: STOPS

    def bar(self, rule: Rule | None) -> None:
        """As TakesOrders.bar()."""
        if not self.closed:
            self._rule = rule

    @property
    def looking(self) -> bool:
        """Whether orders wait for their keys to be looked up."""
        return bool(self._queues)

    async def looked_up(self) -> None:
        """Wait until no order waits for its key to be looked up."""
        while self._queues:
            await self._worked_off.park()

    def submit(self, order: Order, wait: bool, on_done: OnDone) -> None:
        """Carry out the order. Calls back with the command once it has ended, or (not `wait`) once
        it is on disk.

        An order whose key is spent gets the command that spent it. Calls back with
        CallerError (409) if that one was for something else, and with StoreError (503) if
        it cannot be looked up, or the journal cannot be written; then nothing was sent.

        Orders for one device are taken in the order in which they came: a stop does not overtake
        an earlier start whose key is being looked up.
        """
        queue = self._queues.get(order.imei)
        if queue is not None:
            queue.append((order, wait, on_done))
        elif order.key is None or self._is_new(order.key):
            try:
                self._make_command(order, wait, on_done)
            except DevgateError as err:
                on_done(err)
        elif self._dispatcher.soon(partial(self._work_off, order.imei)):
            self._queues[order.imei] = deque([(order, wait, on_done)])
        else:
            on_done(StoreError("the gateway stops; nothing was sent"))

    def _make_command(
        self, order: Order, wait: bool, on_done: OnDone, presumed: bool = False
    ) -> None:
        """Make the order's command: it is refused, or waits for its turn, which may be now.
        `presumed`: nobody has looked whether its key is spent; its row will tell.

        Raises CallerError (400) where a duration was ordered of a device that counts times, and
        StoreError (503) while the journal cannot be written: what could not be journalled
        leaves no record, so that an outage fills no memory with refusals.
        """
        if order.seconds and self._directory.counts_times(order.imei):
            raise CallerError(
                "400", f"long: {order.imei} counts times: a number expected, not a duration"
            )
        refusal = self._refusal(order)
        if (state := self._records.state) != "ok":
            raise StoreError(f"the gateway cannot write its journal ({state}); nothing was sent")
        now = time()
        command = Command(order.id or self.ids.next(now), order, now)
        command.presumed = presumed
        command.on_settled(wait, on_done)
        try:
            if order.key is not None:
                self._keys.spend(order.key)
                self._spent.note(order.key, command)
            if order.cancel:
                self._dispatcher.cancel_starts(order.imei, f"by the stop {command.id}")
            if refusal is not None:
                self._dispatcher.refuse(command, *refusal)
            elif not self._dispatcher.push(command, order.expires):
                self._dispatcher.refuse(command, "429")
        except Exception:  # a fault: the caller gets this error, and no second reply
            command.forget_callers()
            raise

    async def _work_off(self, imei: Imei) -> None:
        """Take this device's orders, one after the other, until none waits."""
        queue = self._queues[imei]
        # An order that is here is carried out, also when its caller or the service ends.
        with trio.CancelScope(shield=True):
            while queue:
                order, wait, on_done = queue[0]
                try:
                    command = await self._known(order, order.key) if order.key else None
                    if command is None:
                        self._make_command(order, wait, on_done)
                    else:
                        command.on_settled(wait, on_done)
                except Exception as err:
                    on_done(err)
                queue.popleft()
        del self._queues[imei]
        self._worked_off.unpark_all()

    async def _known(self, order: Order, key: str) -> Command | None:
        """The command of this key; None: the key is new, and the order is to be taken at once.
        If several callers ask at once, one looks it up and the others wait."""
        while (command := self._dispatcher.by_key.get(key)) is None:
            if (looking := self._looking.get(key)) is None:
                command = await self._look_up(key)
                break
            await looking.wait()
        if command is not None and command.content != order.content:
            # `operations.own_replies.of_order` hides it from callers who may not see that command.
            raise CallerError(
                "409",
                f"key: {key!r} was used for another command, {command.id}; nothing was sent",
                more={"earlier": command.id, "earlier_outcome": command.outcome},
            )
        return command

    async def _look_up(self, key: str) -> Command | None:
        if self._is_new(key):
            return None
        looking = self._looking[key] = trio.Event()
        try:
            try:
                earlier = await self._earlier(key)
            except StoreError:
                if (known := self._spent_here(key)) is None:
                    raise
                return known
            if earlier is None:
                return self._spent_here(key)  # one that the database has lost, if any
            command = Command.of(earlier)
            command.done = True  # a record: nothing changes it in this run
            return command
        finally:
            del self._looking[key]
            looking.set()

    async def _earlier(self, key: str) -> history.Record | None:
        """The command that has spent the key. Raises StoreError if that cannot be read.

        The key may have been spent: then the outcome of the order is unknown, although nothing was
        sent for this request.
        """
        if not await self._flushed():
            why = self._records.state
        else:
            try:
                return await self._records.read(history.by_key, key)
            except StoreError as err:
                why = str(err)
        raise StoreError(
            f"key: it cannot be looked up ({why}); nothing was sent for this request, but the key "
            "may have been used before: ask again with it",
            outcome="unknown",
        )

    async def _flushed(self) -> bool:
        """Whether all keys that were spent here are on disk."""
        return await self._records.flushed()

    def _spent_here(self, key: str) -> Command | None:
        """The command that has spent the key in this run. Raises Unknown (408)."""
        return self._spent.find(key, self._dispatcher.settings.keep_keys)

    def _is_new(self, key: str) -> bool:
        """Whether the key need not be looked up: it is not spent, under way, or in question."""
        return (
            self._keys.is_new(key)
            and key not in self._dispatcher.by_key
            and key not in self._looking
        )

    def _refusal(self, order: Order) -> Refusal | None:
        """Why nothing may be sent; None if it may."""
        admitted = self._directory.admits(order.imei)
        if self._rule is not None and (barred := self._rule(order)) is not None:
            return barred
        if admitted is None:
            return "300", None, None
        if not admitted:
            return "401", None, None
        if (
            not self._maintenance.empty
            and order.type == "start"
            and not order.test
            and self._maintenance.of(order.imei) is not None
        ):
            return "423", MAINTAINED, "maintenance"
        if order.expires is None and self._connected.get(order.imei) is None:
            return "404", None, None
        if (
            order.type == "start"
            and self._dispatcher.settings.while_running == "refuse"
            and self._running.until(order.imei) is not None
        ):
            return "423", RUNS, "running"
        if (
            order.type == "start"
            and order.imei in self._connected.taken_over
            and self._connected.contested(order.imei)
        ):
            return "423", CONTESTED, "flapping"
        return None
