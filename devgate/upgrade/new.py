"""The new process of an upgrade: it takes over from the running gateway."""

from __future__ import annotations

import gc
import logging
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import trio

from devgate import __version__
from devgate.errors import SetupError
from devgate.gateway.command import Command
from devgate.gateway.devices import moving as devices
from devgate.gateway.gateway import Gateway
from devgate.model import Imei
from devgate.net.given import Given, Open
from devgate.net.moved import MovedCaller
from devgate.store import succession
from devgate.store.batch import Row
from devgate.store.engine import Database
from devgate.store.ownership import Owner
from devgate.store.schema import SCHEMA
from devgate.upgrade.channel import Broken, Channel, Message, close_all, raw
from devgate.upgrade.filling import GAVE_UP, Parts, fill, next_of
from devgate.upgrade.gate import Begin, Dispatch, carry_out
from devgate.upgrade.messages import FORMAT, Former, answer, unpacked

HEAR_SECONDS = 30.0  # for the first message of the running gateway
CATCH_UP_SECONDS = 1.0  # to read what devices have sent meanwhile; some peers may never stop
# How many tasks of connections begin at once, and the pause after them for all other tasks: the
# thread of a commit waits for the interpreter as long as the loop is busy.
TASKS_A_TURN, TURN_SECONDS = 128, 0.002
TLS_ENDS = "the gateway was upgraded, and TLS cannot be handed over"

AdoptCaller = Callable[[MovedCaller], None]  # goes on with a caller's connection

log = logging.getLogger("devgate.upgrade")


class Successor:
    """The new process, from the first message of the old one to the last message to it."""

    def __init__(self, sock: socket.socket) -> None:
        self.given = Given()
        self.stopping = trio.Event()  # set once this process must stop
        # Set once the devices that waited have their answers: then less urgent work may begin.
        self.calm = trio.Event()
        self._channel = Channel(sock)
        self._former: Former
        self._moved: list[devices.MovedConnection] = []
        self._awaited: list[str] = []
        self._not_moved: list[tuple[str, bool]] = []
        self._post: Callable[[Sequence[Row]], object]
        self._adopt_caller: AdoptCaller | None = None
        self._early: list[Message] = []  # of callers, before the doors are open
        self._trouble: Exception | None = None  # of the wait for PostgreSQL's lock
        self._outgoing, self._answers = trio.open_memory_channel[tuple[str, dict[str, Any]]](
            1_000_000
        )

    # Before there is a run

    def begin(self) -> None:
        """Read who the old process is. Raises SetupError."""
        trio.run(self._begin)

    async def _begin(self) -> None:
        try:
            with trio.fail_after(HEAR_SECONDS):
                message = await self._channel.receive()
        except (Broken, trio.TooSlowError) as err:
            raise SetupError(f"the gateway that runs says nothing: {err}") from None
        content = message.content
        self._former = Former(*content["former"])
        if self._former.format != FORMAT:
            close_all(message.fds)
            raise SetupError(
                f"version {self._former.version} hands over in the form {self._former.format}, "
                f"and version {__version__} takes over in the form {FORMAT}: restart the gateway"
            )
        self.given = Given(
            [
                Open(door, _socket(fd), instead)
                for (door, instead), fd in zip(content["doors"], message.fds, strict=True)
            ]
        )

    def open(self, url: str) -> Database:
        """The database, which the other gateway still owns. Raises SetupError."""
        return succession.open_beside(url, self._owner)

    @property
    def _owner(self) -> Owner:
        return Owner(*self._former.owner)

    def fails(self, why: str) -> None:
        """Tell the running gateway why this program cannot take over."""
        trio.run(self._fails, why)

    async def _fails(self, why: str) -> None:
        try:
            with trio.move_on_after(1.0):
                await self._channel.send("failed", why=why)
        except Broken:
            return

    # The handover

    async def take_over(self, parts: Parts) -> None:
        """Take over the whole state of the gateway. If this raises SetupError, that gateway goes
        on.

        Everything slow must have been done before.
        """
        try:
            if parts.database.dialect != "sqlite":  # connecting takes longer than all later steps
                await parts.blocking(parts.database.session)
            self._must_go_on()
            await self._channel.send("ready", version=__version__, schema=SCHEMA)
            gc.disable()  # a collection would scan ten thousand connections in vain
            filled = await fill(self._channel, parts)
            self._moved, self._awaited, self._not_moved = filled
            waiting = await self._stand_in_line(parts)
            self._must_go_on()
            await self._channel.send("prepared")
            await self._claim(parts, waiting)
            await self._channel.send("claimed")
        except Broken as err:
            raise SetupError(f"nothing was taken over: {err}", status="503") from None
        log.info(
            "taken over from=%s connections=%s in_flight=%s",
            self._former.version, len(self._moved), parts.gateway.dispatcher.in_flight,
        )  # fmt: skip

    def _must_go_on(self) -> None:
        if self.stopping.is_set():
            raise SetupError("it was told to stop", status="503")

    async def _stand_in_line(self, parts: Parts) -> trio.Event:
        """PostgreSQL: queue as the next owner of the lock. Returns an event that is set once this
        process has it."""
        has_it = trio.Event()
        if parts.database.dialect == "sqlite":
            has_it.set()
            return has_it
        session = await parts.blocking(parts.database.session)
        number = await parts.blocking(partial(succession.session_of, session))

        def wait() -> None:
            succession.wait_for_lock(session)

        async def wait_in_thread() -> None:
            try:
                await trio.to_thread.run_sync(wait, abandon_on_cancel=True)
            except Exception as err:
                self._trouble = err
            has_it.set()

        trio.lowlevel.spawn_system_task(wait_in_thread)
        waits = partial(succession.waits, parts.database, number)
        while not (has_it.is_set() or await parts.blocking(waits)):  # noqa: ASYNC110
            await trio.sleep(succession.LOOK_SECONDS)
        return has_it

    async def _claim(self, parts: Parts, has_lock: trio.Event) -> None:
        message = await next_of(self._channel, "claim")
        for fd in message.fds:
            parts.database.locked_by(fd)
        await has_lock.wait()
        if self._trouble is not None:
            raise Broken(f"{GAVE_UP}: the lock cannot be had: {self._trouble}")
        await parts.blocking(partial(succession.claim_from, parts.database, self._owner))

    # Once it is this program's

    def serve_devices(self, gateway: Gateway) -> None:
        """Begin to read the connections."""
        gateway.desk.lifetimes.poll_all(self._moved)
        for imei, announced in self._not_moved:
            gateway.records.offline(Imei(imei), TLS_ENDS if announced else None)

    async def begin_tasks(self, gateway: Gateway, nursery: trio.Nursery) -> None:
        """Answer what devices have sent meanwhile, and then start a task for each connection. The
        end of a connection waits until then."""
        with trio.move_on_after(CATCH_UP_SECONDS):
            await gateway.desk.rounds.caught_up()
        self._outgoing.send_nowait(("serves", {}))
        moved, self._moved = self._moved, []
        for number, connection in enumerate(moved, 1):
            nursery.start_soon(gateway.desk.lifetimes.started, connection, name="device")
            if not number % TASKS_A_TURN:
                await trio.sleep(TURN_SECONDS)
        gc.freeze()
        gc.enable()
        self.calm.set()

    def follow(self, gateway: Gateway, post: Callable[[Sequence[Row]], object]) -> None:
        """Send the outcomes of commands to the old process, whose callers wait for them. `post`
        writes rows that it could not write any more."""
        self._post = post
        live = gateway.dispatcher.live
        for id in self._awaited:
            live[id].on_settled(True, self._tell)

    def _tell(self, command: Command) -> None:
        self._outgoing.send_nowait(("ended", {"row": command.row()}))

    async def run(self, dispatch: Dispatch, begin: Begin) -> None:
        """Serve the old process until it has ended."""
        async with trio.open_nursery() as nursery:
            forward = carry_out(dispatch, begin, nursery)
            nursery.start_soon(self._speak)
            try:
                while True:
                    message = await self._channel.receive()
                    content = message.content
                    if message.type == "caller":
                        self._caller(message)
                        continue
                    if message.type == "left":
                        for values in content["events"]:
                            self._post([Row("event", tuple(values))])
                        continue
                    on_done = partial(self._answered, content["number"])
                    forward(content["args"], unpacked(content["source"]), on_done)
            except Broken:
                log.info("the old process has ended")
            nursery.cancel_scope.cancel()
        self._channel.close()

    def callers_to(self, adopt: AdoptCaller) -> None:
        """Pass callers' connections to `adopt` from now on: the doors are open."""
        self._adopt_caller = adopt
        early, self._early = self._early, []
        for message in early:
            self._caller(message)

    def _caller(self, message: Message) -> None:
        content = message.content
        if self._adopt_caller is None:
            self._early.append(message)
        else:
            sock, begun = _socket(message.fds[0]), raw(content["begun"])
            self._adopt_caller(MovedCaller(content["door"], sock, begun, content["authenticated"]))

    def _answered(self, number: int, found: Any) -> None:
        self._outgoing.send_nowait(("answer", {"number": number, **answer(found)}))

    async def _speak(self) -> None:
        try:
            async for type, content in self._answers:
                await self._channel.send(type, **content)
        except Broken:
            return


def _socket(fd: int) -> socket.socket:
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    return sock
