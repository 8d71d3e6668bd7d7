"""One who follows all events, and goes on from the last number after every crash."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Protocol

from crashing.processes import Json


class Asked(Protocol):
    def lines(self, request: Mapping[str, object], /) -> Iterator[Json]:
        """All lines that answer a request. Raises OSError when the gateway dies meanwhile."""


class Watcher:
    def __init__(self, world: Asked, after: int) -> None:
        self.events: list[Json] = []
        self.at: dict[int, float] = {}  # when each was told, by the monotonic clock
        self.last = after
        self.resumed = 0
        self._world = world
        self._ended = False
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._ended:
            try:
                lines = self._world.lines({"type": "watch", "after": self.last})
                if next(lines)["status"] != "200":
                    continue
                self.resumed += 1
                for event in lines:
                    self.events.append(event)
                    self.last = event.get("event", self.last)
                    self.at[self.last] = time.monotonic()
            except OSError:
                time.sleep(0.02)

    def end(self) -> None:
        """Stop following; the gateway has ended."""
        self._ended = True
        self._thread.join(30)
