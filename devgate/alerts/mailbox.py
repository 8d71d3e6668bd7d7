"""The queue of one receiver: messages are sent one after the other, each tried several times."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

import trio

from devgate.alerts.courier import Letter, SendResult

MAX_WAITING = 50  # letters that wait for one receiver: further ones replace the oldest
RETRY_SECONDS = (30.0, 120.0, 600.0, 1800.0)  # after each try that failed

Send = Callable[[Letter, bool], Awaitable[SendResult]]
# Called after each try: with the letter, the result, the number of tries, and whether it was the
# last one.
Tried = Callable[[Letter, SendResult, int, bool], None]


@dataclass(slots=True)
class _Waiting:
    letter: Letter
    on_settled: Callable[[], None]


class Mailbox:
    """Letters to one receiver. `run` is a task of its own."""

    def __init__(self, send: Send, tried: Tried) -> None:
        self._send = send
        self._tried = tried
        self._waiting: deque[_Waiting] = deque()
        self._arrived = trio.Event()
        self._slow = False
        self.failures = 0  # in a row
        self.error: str | None = None

    def put(self, letter: Letter, on_settled: Callable[[], None]) -> None:
        """Send it when its turn comes. `on_settled` is called once it was delivered or given
        up."""
        self._waiting.append(_Waiting(letter, on_settled))
        if len(self._waiting) > MAX_WAITING:
            lost = self._waiting.popleft()
            self._tried(lost.letter, SendResult(False, "pushed out by newer messages"), 0, True)
            lost.on_settled()
        self._arrived.set()

    def close(self) -> None:
        """The receiver was removed: send nothing more."""
        while self._waiting:
            self._waiting.popleft().on_settled()

    async def run(self) -> NoReturn:
        """Send letters as they come, until cancelled."""
        while True:
            while not self._waiting:
                self._arrived = trio.Event()
                await self._arrived.wait()
            one = self._waiting.popleft()
            await self._deliver(one.letter)
            one.on_settled()

    async def _deliver(self, letter: Letter) -> None:
        for tries, pause in enumerate((*RETRY_SECONDS, None), start=1):
            result = await self._send(letter, self._slow)
            self._slow = result.slow
            self.error = None if result.ok else result.text
            self.failures = 0 if result.ok else self.failures + 1
            last = result.ok or pause is None
            self._tried(letter, result, tries, last)
            if last:
                return
            # A new letter ends the pause: it waits behind this one.
            with trio.move_on_after(pause or 0.0):
                self._arrived = trio.Event()
                await self._arrived.wait()
