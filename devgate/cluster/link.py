"""One open connection to another node: many requests side by side, watched for signs of life."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import trio

from devgate.cluster.wording import PING_ID, LineReader, encoded, meant
from devgate.control.outbox import Outbox
from devgate.control.transport import Transport
from devgate.gateway.completion import Completion
from devgate.gateway.membership import Lost, Reply, Unreachable

MAX_OUTSTANDING = 1024  # requests under way on one link; the pings come on top
PING_SECONDS = 0.5  # between two pings while a reply is outstanding
MAX_SILENT_PINGS = 4  # such times in a row in which nothing came: two seconds
IDLE_SECONDS = 60.0  # without a request; then the link is closed
MAX_UNSENT = 4 * 1024 * 1024  # bytes that may wait for a node that does not read


class NodeLink:
    """One link, from the open transport to its end. Its one task calls run(); any task may call
    ask().

    It does not close the transport's socket.
    """

    def __init__(
        self, node: str, address: str, transport: Transport, token: Callable[[], str]
    ) -> None:
        self.address = address
        self.closed = False  # no request is taken any more
        self.why = ""  # why it ended; "": it was idle
        self._node = node
        self._transport = transport
        self._token = token
        self._waiting: dict[int, Completion[Reply | Lost]] = {}
        self._last = PING_ID
        self._silent = 0  # PING_SECONDS since anything came
        self._asked = trio.Event()
        self._scope = trio.CancelScope()
        self._outbox: Outbox

    async def run(self, opened: Callable[[NodeLink], None]) -> None:
        """Carry requests until it breaks or has been idle. `opened` is called once it can."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    self._outbox = Outbox(
                        self._transport,
                        nursery,
                        MAX_SILENT_PINGS * PING_SECONDS,
                        self._break,
                        MAX_UNSENT,
                    )
                    nursery.start_soon(self._read)
                    opened(self)
                    await self._watch()
                    nursery.cancel_scope.cancel()
        finally:
            self._break(self.why or "this node closed the link")
            self._outbox.close()

    async def ask(self, request: Mapping[str, object]) -> Reply:
        """The answer of the node. Raises Unreachable, Lost, or DevgateError as the node did.

        If this is cancelled, the node may still carry out the request.
        """
        if self.closed:
            raise Unreachable(f"node {self._node}: {self.why or 'the link was closed'}")
        if len(self._waiting) >= MAX_OUTSTANDING:
            raise Unreachable(
                f"node {self._node} has {MAX_OUTSTANDING} requests of ours under way"
            )
        data = encoded(request, self._last + 1, self._token())
        self._last += 1
        answer: Completion[Reply | Lost] = Completion()
        self._waiting[self._last] = answer
        self._asked.set()
        self._outbox.say(data)
        found = await answer.wait()
        if isinstance(found, Lost):
            raise found
        return meant(found)

    async def _read(self) -> None:
        lines = LineReader()
        try:
            while data := await self._transport.receive():
                self._silent = 0
                for line in lines.feed(data):
                    self._answer(line)
            self._break("the node closed the link")
        except (OSError, ValueError) as err:
            self._break(str(err))

    def _answer(self, line: Reply) -> None:
        id = line.get("id")
        if isinstance(id, int) and (answer := self._waiting.pop(id, None)) is not None:
            answer.set(line)
        elif id != PING_ID:
            # The node could not read what we said; it says why, and closes.
            raise ValueError(f"a line without a request: {line.get('message')}")

    async def _watch(self) -> None:
        """Ping while replies are outstanding. Ends when there has been no request for long."""
        while True:
            with trio.move_on_after(IDLE_SECONDS) as idle:
                await self._asked.wait()
            if idle.cancelled_caught and not self._waiting:
                self.closed = True
                return
            self._silent = 0
            while self._waiting:
                await trio.sleep(PING_SECONDS)
                # Pings are counted instead of seconds: if this process itself was stopped,
                # bytes that came meanwhile must be read first.
                self._silent += 1
                if self._silent >= MAX_SILENT_PINGS:
                    self._break(f"it was silent for {MAX_SILENT_PINGS * PING_SECONDS:g} s")
                    return
                self._outbox.say(encoded({"type": "ping"}, PING_ID, self._token()))
            self._asked = trio.Event()

    def _break(self, why: str) -> None:
        """End the link: outstanding requests are lost. The second time does nothing."""
        if self.closed and not self._waiting:
            return
        self.closed = True
        self.why = self.why or why
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.set(Lost(f"node {self._node}: {self.why}"))
        self._scope.cancel()
