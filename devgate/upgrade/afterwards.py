"""The old process, once another one is the gateway: it passes that one's replies to its callers,
and closes the connections that could not be handed over, a few at a time."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Any, Protocol

import trio

from devgate.errors import DevgateError
from devgate.gateway.command import Command
from devgate.gateway.devices.connection import Connection
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.net.moved import MovedCaller
from devgate.upgrade.channel import Broken, Channel, text
from devgate.upgrade.gate import Gate, OnDone
from devgate.upgrade.messages import NOT_HERE, answered, packed

LINGER_SECONDS = 60.0  # for callers; those that still wait then ask the new process, with the key
SERVES_SECONDS = 10.0  # for the new process to say that it answers devices
LAST_SECONDS = 5.0  # ... to write the counts that only this process has
# TLS connections are closed within this time, or at this rate where that takes longer: each comes
# back with a handshake.
CLOSE_SECONDS = 5.0
CLOSE_RATE = 500  # a second
GONE = (
    "the process that took over from this one has ended; the outcome is unknown: ask again with "
    "the key"
)


# Gives a caller's connection to the new process.
GiveCaller = Callable[[MovedCaller], Awaitable[None]]


class Drain(Protocol):
    """Ends the doors of callers, and returns once each has its reply."""

    async def __call__(self, give: GiveCaller, *, task_status: trio.TaskStatus[None]) -> None:
        """Reports "started" once all further replies say that their connection ends."""


log = logging.getLogger("devgate.upgrade")


class Afterwards:
    """The last work of the old process, which ends after it."""

    def __init__(
        self,
        channel: Channel,
        gateway: Gateway,
        gate: Gate,
        not_moved: Sequence[Connection],
        drain: Drain,
        end: Callable[[], None],
        began: float,
    ) -> None:
        """`not_moved` are connections that were not handed over. `began`: when devices began to
        wait, by trio's clock."""
        self._channel = channel
        self._gateway = gateway
        self._not_moved = not_moved
        self._drain = drain
        self._end = end
        self._began = began
        self._serves = trio.Event()
        self._seconds = 0.0
        self._numbers = count(1)
        self._asked: dict[int, OnDone] = {}
        self._send, self._outgoing = trio.open_memory_channel[dict[str, Any]](1_000_000)
        self._gone = False
        self._speaking = trio.Lock()
        gate.forward(self._forward)

    async def run(self, on_done: Callable[[Reply], None], reply: dict[str, Any]) -> None:
        """Do all of it. `on_done` gets the reply for the caller of the upgrade."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hear)
            nursery.start_soon(self._speak)
            with trio.move_on_after(SERVES_SECONDS):
                await self._serves.wait()
            seconds = round(self._seconds or trio.current_time() - self._began, 3)
            log.info("the new process serves seconds=%s", seconds)
            with trio.move_on_after(LINGER_SECONDS) as scope:
                async with trio.open_nursery() as last:
                    last.start_soon(self._close)
                    await last.start(self._drain, self._give)
                    on_done({
                        "status": "200",
                        "message": f"version {reply['version']} has taken over, with "
                        f"{reply['connections']} connections of devices",
                        **reply,
                        "seconds": seconds,
                    })  # fmt: skip
            if scope.cancelled_caught:
                log.warning("callers of the old process have no reply yet, it ends nevertheless")
            with trio.move_on_after(LAST_SECONDS):
                await self._gateway.dispatcher.write_rates()
            log.info("the old process ends")
            self._end()

    def _forward(self, args: Args, source: str, on_done: OnDone) -> None:
        """Ask the new process."""
        if self._gone:
            return on_done(DevgateError("408", GONE))
        try:
            json.dumps(dict(args))
        except (TypeError, ValueError):
            return on_done(DevgateError("503", NOT_HERE))
        number = next(self._numbers)
        self._asked[number] = on_done
        message = {"number": number, "args": dict(args), "source": packed(source)}
        return self._send.send_nowait(message)

    async def _speak(self) -> None:
        try:
            async for message in self._outgoing:
                async with self._speaking:
                    await self._channel.send("ask", **message)
        except Broken:
            return  # _hear() says so

    async def _give(self, caller: MovedCaller) -> None:
        if self._gone:
            return
        content = {
            "door": caller.door,
            "begun": text(caller.begun),
            "authenticated": caller.authenticated,
        }
        try:
            async with self._speaking:
                await self._channel.send("caller", [caller.sock.fileno()], **content)
        except Broken:
            return  # _hear() says so

    async def _hear(self) -> None:
        live = self._gateway.dispatcher.live
        try:
            while True:
                message = await self._channel.receive()
                content = message.content
                if message.type == "serves":
                    self._seconds = trio.current_time() - self._began
                    self._serves.set()
                elif message.type == "answer":
                    if (on_done := self._asked.pop(content["number"], None)) is not None:
                        on_done(answered(content))
                elif message.type == "ended" and (command := live.get(content["row"]["id"])):
                    _ended(command, content["row"])
        except Broken as err:
            log.error("the new process is gone reason=%s", err)
        self._gone = True
        asked, self._asked = self._asked, {}
        for on_done in asked.values():
            on_done(DevgateError("408", GONE))
        for command in list(live.values()):
            command.message = GONE
            command.status, command.outcome, command.state = "408", "unknown", "ended"
            command.set_done()

    async def _close(self) -> None:
        """Close TLS connections: their devices connect again, to the new process."""
        not_moved = [one for one in self._not_moved if one.link.fd >= 0]
        if not not_moved:
            return
        seconds = max(CLOSE_SECONDS, len(not_moved) / CLOSE_RATE)
        log.warning(
            "connections with TLS cannot be handed over, they are closed count=%s seconds=%s",
            len(not_moved), seconds,
        )  # fmt: skip
        began = trio.current_time()
        for number, connection in enumerate(not_moved, 1):
            self._gateway.desk.lifetimes.hang_up(connection.link)
            await trio.sleep_until(began + seconds * number / len(not_moved))


def _ended(command: Command, row: dict[str, Any]) -> None:
    command.become(row)
    command.recorded = True
    command.set_done()
