"""Many small look-ups in the database, made together: one read for all that have gathered."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

import trio

from devgate.errors import DevgateError, StoreError
from devgate.gateway.background import in_a_line
from devgate.gateway.completion import result_of

V = TypeVar("V")

MAX_KEYS_A_READ = 2000  # about ten milliseconds
CALLS_A_TURN = 32  # before other tasks have their turn: of registrations about 2 ms
log = logging.getLogger("devgate.nodes")

# Called with the value, with None if there is none, or with the error of the read.
OnFound = Callable[[V | DevgateError | None], None]


class Lookups(Generic[V]):
    """While one read is under way, the next one gathers: a thread and some round trips for many.

    Everything runs in the loop's thread, except what `read` does.
    """

    def __init__(
        self,
        read: Callable[[Sequence[str]], Awaitable[Mapping[str, V]]],
        soon: Callable[[Callable[[], Awaitable[None]]], bool],
    ) -> None:
        """`read` finds the values of many keys, and raises StoreError. `soon` runs a task beside
        the service; False: it will never run."""
        self._read = read
        self._soon = soon
        self._waiting: dict[str, list[OnFound[V]]] = {}
        self._reading = False

    def __len__(self) -> int:
        """How many keys wait to be looked up."""
        return len(self._waiting)

    def ask(self, key: str, on_found: OnFound[V]) -> None:
        """Look this key up. Calls back from another task, or at once if the service has ended;
        the callback must not raise."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(on_found)
            return
        self._waiting[key] = [on_found]
        if not self._reading:
            self._reading = self._soon(self._run)
            if not self._reading:
                del self._waiting[key]
                on_found(StoreError("the gateway stops; nothing was sent"))

    async def get(self, key: str) -> V | None:
        """The value of this key. Raises StoreError."""

        def begin(on_done: Callable[[V | DevgateError | None], None]) -> None:
            self.ask(key, on_done)

        found: V | DevgateError | None = await result_of(begin)
        if isinstance(found, DevgateError):
            raise found
        return found

    async def _found(self, keys: Sequence[str]) -> Mapping[str, V] | DevgateError:
        try:
            return await self._read(keys)
        except DevgateError as err:
            return err
        except Exception as err:  # a fault: it must not end the service
            log.exception("a look-up crashed keys=%s", len(keys))
            return StoreError(f"the database cannot be read: {in_a_line(err)}")

    async def _run(self) -> None:
        """Read until nobody waits. Whoever waits is called back, however this ends."""
        asked: dict[str, list[OnFound[V]]] = {}
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, {}
                while asked:
                    keys = list(asked)[:MAX_KEYS_A_READ]
                    found = await self._found(keys)
                    for number, key in enumerate(keys, 1):
                        value = found if isinstance(found, DevgateError) else found.get(key)
                        for on_found in asked.pop(key):
                            on_found(value)
                        if not number % CALLS_A_TURN:
                            await trio.lowlevel.checkpoint()
        finally:
            self._reading = False
            asked |= self._waiting
            self._waiting = {}
            for waiting in asked.values():
                for on_found in waiting:
                    on_found(StoreError("the gateway stops; nothing was sent"))
