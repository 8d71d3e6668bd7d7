"""The old process of an upgrade: it starts the new program, and hands everything over."""

from __future__ import annotations

import gc
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from time import monotonic
from typing import Any

import trio

from devgate import __version__
from devgate.errors import CallerError, DevgateError, StoreError
from devgate.gateway.completion import result_of
from devgate.gateway.devices.connection import Connection
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations.reply import Reply
from devgate.store.batch import Row
from devgate.store.engine import Database
from devgate.store.journal import Journal
from devgate.store.journals import Writes
from devgate.upgrade.afterwards import Afterwards, Drain
from devgate.upgrade.ahead import Ahead
from devgate.upgrade.channel import MAX_FDS, Broken, Channel, Message
from devgate.upgrade.gate import Gate
from devgate.upgrade.messages import FORMAT, Former
from devgate.upgrade.program import Program, must_be_trusted, start
from devgate.upgrade.standstill import stand_still
from devgate.upgrade.telling import tell

LOAD_SECONDS = 300.0  # for the new program to read what is in the database, and to change its form
QUIET_SECONDS = 30.0  # ... for operations under way here to end
FREEZE_SECONDS = 10.0  # ... for all that is done while devices wait
CLAIM_SECONDS = 10.0  # ... for the new program to own the database

OnDone = Callable[[Reply | DevgateError], None]

log = logging.getLogger("devgate.upgrade")


@dataclass(frozen=True, slots=True)
class Stage:
    """Functions of the process around a gateway, for its upgrade."""

    doors: Callable[[], Sequence[tuple[str, socket.socket, bool]]]
    """All listening sockets: the door, the socket, and whether it stands for all addresses."""

    stopping: trio.Event
    """Set when the gateway must stop."""

    succeeded: Callable[[int], None]
    """Called with the process id of the new gateway."""

    drain: Drain
    """End the doors of callers, once each has its reply. A function gets the connections that the
    new process can continue."""

    end: Callable[[], None]
    """End the process without closing what belongs to the new one."""


class Handover:
    """At most one upgrade at a time."""

    def __init__(
        self,
        gateway: Gateway,
        database: Database,
        journal: Writes,
        in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
        unwritten: Callable[[], Sequence[Row]],
        gate: Gate,
        stage: Stage,
        why_not: str = "",
    ) -> None:
        """`in_thread` runs a function where commits are made, `unwritten` are rows that were
        posted and are not on disk. `why_not`: why this gateway cannot
        be upgraded, if that is so."""
        self.settled = trio.Event()  # set while no handover is under way
        self.settled.set()
        self.over = False  # another process is the gateway now
        self._gateway = gateway
        self._database = database
        self._journal = journal
        self._in_thread = in_thread
        self._unwritten = unwritten
        self._gate = gate
        self._stage = stage
        self._why_not = why_not
        self._busy = False
        self._took: list[float] = []  # seconds of each step of the last handover
        self._ask, self._asked = trio.open_memory_channel[tuple[str | None, OnDone]](1)

    async def upgrade(self, program: str | None) -> Reply:
        """Let another program take over; returns when it answers devices.

        Raises DevgateError if that was not done: then this gateway goes on as before.
        """
        if program is not None:
            must_be_trusted(program)
        self._must_be_possible()
        self._busy = True

        def begin(on_done: OnDone) -> None:
            self._ask.send_nowait((program, on_done))

        found = await result_of(begin)
        if isinstance(found, DevgateError):
            raise found
        return found

    def _must_be_possible(self) -> None:
        why = self._why_not
        if os.getpid() == 1:
            why = (
                "the gateway is the first process of its container, which ends with it: start a "
                "container with the new version instead"
            )
        elif self._busy:
            why = "an upgrade is under way"
        elif self._stage.stopping.is_set():
            why = "the gateway is stopping"
        if why:
            raise CallerError("409", why)
        self._must_be_quiet()

    def _must_be_quiet(self) -> None:
        gateway = self._gateway
        if running := [job.id for job in gateway.bulk if not job.over]:
            raise CallerError(
                "409", f"the job {running[0]} for many machines is under way: wait for its end"
            )
        if (state := gateway.records.state) != "ok":
            raise StoreError(f"nothing is handed over while orders are refused: {state}")

    async def run(self) -> None:
        """Carry out upgrades, in a task of the gateway: a caller that disconnects ends none."""
        async for program, on_done in self._asked:
            try:
                new = await start(program)
                try:
                    afterwards, reply = await self._hand_over(new)
                except BaseException:
                    if self.over:  # there is no way back
                        log.exception("the rest of an upgrade failed")
                        self._stage.end()
                    await new.kill()
                    raise
            except Broken as err:
                log.error("upgrade failed, the gateway goes on reason=%s", err)
                words = f"{err}; this gateway goes on, and its log has what that program said"
                on_done(DevgateError("500", words))
            except DevgateError as err:
                log.error("upgrade failed, the gateway goes on reason=%s", err)
                on_done(err)
            except Exception as err:
                log.exception("upgrade failed, the gateway goes on")
                on_done(DevgateError("500", f"the gateway failed, its log says how: {err!r}"))
            else:
                await afterwards.run(on_done, reply)
            finally:
                self._busy = False

    async def _hand_over(self, new: Program) -> tuple[Afterwards, dict[str, Any]]:
        channel = Channel(new.sock)
        owner = self._database.owner
        assert owner is not None, "a gateway owns its database"
        log.info("upgrade begins pid=%s", new.pid)
        doors = self._stage.doors()
        if len(doors) > MAX_FDS:
            raise CallerError("409", f"more than {MAX_FDS} sockets listen")
        await channel.send(
            "former",
            [sock.fileno() for _, sock, _ in doors],
            former=Former(FORMAT, __version__, owner),
            doors=[[door, instead] for door, _, instead in doors],
        )
        ready = await _expect(channel, "ready", LOAD_SECONDS)
        log.info("the new program is ready version=%s", ready.content["version"])
        with trio.move_on_after(QUIET_SECONDS):
            await self._gate.idle()
        # Events of changes are written here, not by both processes. Before devices wait, because a
        # read that hangs cannot be cancelled.
        await self._gateway.knowledge.refresh()
        ahead = Ahead(self._gateway)
        await ahead.tell(channel, trio.current_time() - monotonic())
        await _expect(channel, "aware", FREEZE_SECONDS)
        self.settled = trio.Event()
        try:
            with trio.CancelScope(shield=True):
                began, moved = await self._move(channel, new, ahead)
            self.over = True
        finally:
            self.settled.set()
        events = [list(row.values) for row in self._unwritten() if row.kind == "event"]
        self._stage.succeeded(new.pid)
        not_moved = [one for one in self._gateway.desk.connections.values() if one not in moved]
        _let_go(moved)
        afterwards = Afterwards(
            channel, self._gateway, self._gate, not_moved,
            self._stage.drain, self._stage.end, began,
        )  # fmt: skip
        with suppress(Broken):  # Afterwards reports it
            await channel.send("left", events=events)
        log.info("handed over pid=%s connections=%s", new.pid, len(moved))
        log.info("devices waited freeze=%s told=%s prepared=%s claimed=%s", *self._took)
        return afterwards, {
            "version": ready.content["version"],
            "former": __version__,
            "pid": new.pid,
            "connections": len(moved),
            "closed": len(not_moved),
        }

    async def _move(
        self, channel: Channel, new: Program, ahead: Ahead
    ) -> tuple[float, dict[Connection, None]]:
        """The part during which devices wait. If it raises, either nothing has changed, or
        another program owns the database."""
        began = trio.current_time()
        self._gate.close()
        gc.disable()  # a collection would take as long as packing
        try:
            with trio.fail_after(FREEZE_SECONDS):
                await self._freeze()
                times = [began, trio.current_time()]
                moved = await tell(channel, self._gateway, ahead)
                times.append(trio.current_time())
                await _expect(channel, "prepared", FREEZE_SECONDS)
                times.append(trio.current_time())
            if self._stage.stopping.is_set():
                raise CallerError("409", "the gateway is stopping")
            lock = self._database.lock_file
            if lock is None:
                assert isinstance(self._journal, Journal), "it works alone"
                await self._in_thread(self._journal.unlock)
            # From here on the epoch in the database decides who owns it.
            await channel.send("claim", [] if lock is None else [lock])
            await _expect(channel, "claimed", CLAIM_SECONDS)
            times.append(trio.current_time())
            self._took = [round(end - start, 3) for start, end in pairwise(times)]
        except BaseException as err:
            await new.kill()  # it must not go on
            self._thaw()
            if isinstance(err, trio.TooSlowError):
                raise StoreError(
                    "the database or the new program took too long; nothing is changed"
                ) from None
            raise
        return began, moved

    async def _freeze(self) -> None:
        """When this returns, nothing is read, sent, begun or committed."""
        await self._gate.idle()
        self._must_be_quiet()
        await stand_still(self._gateway)

    def _thaw(self) -> None:
        gc.enable()
        self._gateway.dispatcher.go_on()
        self._gateway.pauses.go_on()
        self._gate.open()


async def _expect(channel: Channel, type: str, seconds: float) -> Message:
    """The next message, of this type. Raises CallerError with what the new program says instead,
    and Broken."""
    with trio.move_on_after(seconds):
        message = await channel.receive()
        if message.type == "failed":
            raise CallerError("409", f"the new program: {message.content['why']}")
        if message.type != type:
            raise Broken(f"the new program says {message.type}, and {type} was expected")
        return message
    raise Broken(f"the new program did not say {type} within {seconds:g} s")


def _let_go(moved: dict[Connection, None]) -> None:
    """Close our descriptors of the sockets that another process has. The connections stay open."""
    for connection in moved:
        fd, connection.link.fd = connection.link.fd, -1
        os.close(fd)
