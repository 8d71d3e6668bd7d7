"""What waits for one receiver: one letter after the other, each tried some times."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

import trio

from devgate.alerts.courier import Letter, Result

WAITING = 50  # letters that wait for one receiver: further ones push out the oldest
PAUSES = (30.0, 120.0, 600.0, 1800.0)  # seconds behind each try that failed

Send = Callable[[Letter, bool], Awaitable[Result]]
# Called behind each try: the letter, what became of it, how many tries, and whether it was the
# last one.
Tried = Callable[[Letter, Result, int, bool], None]


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
        """Send it as soon as its turn comes. `on_settled`: it was taken, or is given up."""
        self._waiting.append(_Waiting(letter, on_settled))
        if len(self._waiting) > WAITING:
            lost = self._waiting.popleft()
            self._tried(lost.letter, Result(False, "pushed out by newer messages"), 0, True)
            lost.on_settled()
        self._arrived.set()

    def close(self) -> None:
        """The receiver is gone: nothing that waits is sent."""
        while self._waiting:
            self._waiting.popleft().on_settled()

    async def run(self) -> NoReturn:
        """Send what comes, for ever."""
        while True:
            while not self._waiting:
                self._arrived = trio.Event()
                await self._arrived.wait()
            one = self._waiting.popleft()
            await self._deliver(one.letter)
            one.on_settled()

    async def _deliver(self, letter: Letter) -> None:
        for tries, pause in enumerate((*PAUSES, None), start=1):
            result = await self._send(letter, self._slow)
            self._slow = result.slow
            self.error = None if result.ok else result.text
            self.failures = 0 if result.ok else self.failures + 1
            last = result.ok or pause is None
            self._tried(letter, result, tries, last)
            if last:
                return
            # What comes meanwhile is a reason to try at once, for it waits behind this one.
            with trio.move_on_after(pause or 0.0):
                self._arrived = trio.Event()
                await self._arrived.wait()
