"""The gate for callers' requests: it holds them during a handover, and then forwards them."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from devgate.errors import CallerError, DevgateError
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.entry import ORDERS
from devgate.gateway.operations.reply import Reply, Stream
from devgate.upgrade.messages import NOT_HERE

Answer = Reply | Exception
Dispatch = Callable[[Args, str], Awaitable[Reply | Stream]]
# Called once with the result of a request.
OnDone = Callable[[Answer], None]
Begin = Callable[[Args, str, Callable[[Reply], None]], bool]
Forward = Callable[[Args, str, OnDone], None]

UPGRADE = "upgrade"  # the operation that waits for all others


class _Held:
    """A request that waits for the gate."""

    def __init__(self, args: Args, source: str) -> None:
        self.args = args
        self.source = source
        self._answer: Answer | None = None
        self._over = trio.Event()

    def let_in(self) -> None:
        """Let its own task carry it out here."""
        self._over.set()

    def answered(self, answer: Answer) -> None:
        """Give it its answer, wherever it was carried out."""
        self._answer = answer
        self._over.set()

    async def wait(self) -> Answer | None:
        """Its answer; None: carry it out here."""
        await self._over.wait()
        return self._answer


class Gate:
    """While it is open, requests pass at once. While it is closed, they wait, in order. Once there
    is another gateway, they and all later ones are forwarded to it."""

    def __init__(self, dispatch: Dispatch, begin: Begin) -> None:
        self._dispatch = dispatch
        # As operations.entry.begin(): False where that is not possible, or not now.
        self.begin = self._begin = begin
        self._held: deque[_Held] | None = None  # None: it is open
        self._forward: Forward | None = None
        self._under_way = 0  # operations, without orders, which may wait for a device
        self._fewer = trio.lowlevel.ParkingLot()

    async def dispatch(self, args: Args, source: str) -> Reply | Stream:
        """As operations.entry.dispatch()."""
        if self._held is not None or self._forward is not None:
            if args.get("type") == UPGRADE:
                raise CallerError("409", "an upgrade is under way")
            held = _Held(args, source)
            if self._forward is not None:
                self._forward(args, source, held.answered)
            elif self._held is not None:
                self._held.append(held)
            answer = await held.wait()
            if isinstance(answer, Exception):
                raise answer
            if answer is not None:
                return answer
        type = args.get("type")  # whatever a caller has sent
        if isinstance(type, str) and (type in ORDERS or type == UPGRADE):
            return await self._dispatch(args, source)
        self._under_way += 1
        try:
            return await self._dispatch(args, source)
        finally:
            self._under_way -= 1
            self._fewer.unpark_all()

    def close(self) -> None:
        """Hold requests from now on."""
        if self._held is None:
            self._held = deque()
            self.begin = _not_now

    async def idle(self) -> None:
        """Wait until no operation is under way, except orders."""
        while self._under_way:
            await self._fewer.park()

    def open(self) -> None:
        """Carry out the held requests, in order, and all later ones."""
        held, self._held, self.begin = self._held or deque(), None, self._begin
        for one in held:
            try:
                begun = self._begin(one.args, one.source, one.answered)
            except DevgateError as err:
                one.answered(err)
            else:
                if not begun:
                    one.let_in()

    def forward(self, forward: Forward) -> None:
        """Forward the held requests to another gateway, in order, and all later ones."""
        held, self._held, self._forward = self._held or deque(), None, forward
        self.begin = _not_now
        for one in held:
            forward(one.args, one.source, one.answered)


def _not_now(args: Args, source: str, on_done: Callable[[Reply], None]) -> bool:
    return False


def carry_out(dispatch: Dispatch, begin: Begin, nursery: trio.Nursery) -> Forward:
    """A function that carries out requests that another gateway forwards: at once, in the order of
    the calls."""

    async def work(args: Args, source: str, on_done: OnDone) -> None:
        try:
            found = await dispatch(args, source)
            if isinstance(found, Stream):
                await found.lines.aclose()
                on_done(DevgateError("503", NOT_HERE))
            else:
                on_done(found)
        except Exception as err:
            on_done(err)

    def forward(args: Args, source: str, on_done: OnDone) -> None:
        try:
            begun = begin(args, source, on_done)
        except Exception as err:
            on_done(err)
        else:
            if not begun:
                nursery.start_soon(partial(work, args, source, on_done))

    return forward
