"""Three ways to wait for a caller's bytes: by the poller, in turns, or in the task alone."""

from __future__ import annotations

from collections.abc import Callable

import trio

from devgate.control.requests import RequestReader
from devgate.control.transport import Transport
from devgate.net.turns import Turns
from devgate.net.urgent import Urgent

UNAUTHENTICATED_BYTES = 2048  # read at once from a peer that has shown no token yet


class Intake:
    """Feeds one connection's reader of requests.

    With `urgent` and a plain socket, the poller calls the connection when bytes come, before all
    devices and without the connection's task. `turns` are shared by connections that have shown no
    token: one of them is read in each turn of the loop.
    """

    def __init__(
        self,
        transport: Transport,
        reader: RequestReader,
        urgent: Urgent | None,
        turns: Turns | None,
    ) -> None:
        self.ended = False  # the peer has ended its side
        self._transport = transport
        self._reader = reader
        self._urgent = urgent if transport.plain else None
        self._turns = turns
        self._fd = transport.sock.fileno()
        self._handed = trio.Event()  # the task has to handle what has come
        self._trouble: Exception | None = None

    async def more(self, on_readable: Callable[[], None], *, unauthenticated: bool) -> bool:
        """Wait for bytes that the task has to handle. False: the peer has ended its side.

        The poller calls `on_readable()`. Raises OSError, and the error given to hand_over().
        """
        if unauthenticated and self._turns is not None:
            data = await self._in_turn(self._turns)
        elif self._urgent is None:
            data = await self._transport.receive()
        else:
            await self._by_poller(self._urgent, on_readable)
            return not self.ended
        self._reader.feed(data)
        return bool(data)

    def hand_over(self, trouble: Exception | None = None) -> None:
        """For the callback of the poller: leave the rest of the bytes, or an error, to the task.

        The callback is not called again before the task has handled it: otherwise the end of the
        peer's side, which may come meanwhile, would replace the error.
        """
        if self._urgent is not None:
            self._urgent.forget(self._fd)
        self._trouble = trouble
        self._handed.set()

    async def _in_turn(self, turns: Turns) -> bytes:
        data: bytes | None = None
        while data is None:
            if self._transport.plain:
                await turns.readable(self._fd)
                data = self._transport.receive_now(UNAUTHENTICATED_BYTES)
            else:
                data = await self._transport.receive()
                await turns.turn()
        return data

    async def _by_poller(self, urgent: Urgent, on_readable: Callable[[], None]) -> None:
        self._handed = trio.Event()
        urgent.add(self._fd, on_readable)
        try:
            await self._handed.wait()
        finally:
            urgent.forget(self._fd)
        trouble, self._trouble = self._trouble, None
        if trouble is not None:
            raise trouble
