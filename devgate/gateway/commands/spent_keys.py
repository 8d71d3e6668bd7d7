"""The keys that were spent in this run: a database that has lost rows does not have them."""

from __future__ import annotations

import math
from time import monotonic

from devgate.errors import Unknown
from devgate.gateway.command import Command

MAX_AGE_SECONDS = 3600.0
MAX_COMMANDS = 50_000  # with their outcomes, about 50 MB; of older ones only the key is known
MAX_KEYS = 500_000


class SpentKeys:
    """Keys of the last hour, oldest first: the newest of them with the command of each."""

    def __init__(self) -> None:
        self._commands: dict[str, tuple[float, Command]] = {}  # when, by time.monotonic()
        self._keys: dict[str, float] = {}  # older ones

    def note(self, key: str, command: Command) -> None:
        """The command has this key now."""
        now = monotonic()
        commands, keys = self._commands, self._keys
        commands.pop(key, None)
        keys.pop(key, None)
        commands[key] = now, command
        if len(commands) > MAX_COMMANDS:
            oldest = next(iter(commands))
            keys[oldest] = commands.pop(oldest)[0]
        while keys and (len(keys) > MAX_KEYS or now - keys[next(iter(keys))] > MAX_AGE_SECONDS):
            del keys[next(iter(keys))]
        while now - commands[next(iter(commands))][0] > MAX_AGE_SECONDS:
            del commands[next(iter(commands))]

    def knows(self, key: str) -> bool:
        """Whether a command of this run had the key, whatever came of that one."""
        return key in self._commands or key in self._keys

    def find(self, key: str, within: float) -> Command | None:
        """The command that spent the key in the last `within` seconds of this run.

        Raises Unknown (408) if only that is known of it.
        """
        since = monotonic() - min(within, MAX_AGE_SECONDS)
        if self._keys.get(key, -math.inf) > since:
            raise Unknown(
                "408",
                f"key: {key!r} was used before, and the record of that command is lost: the "
                "outcome is unknown, the device may have done it",
            )
        at, command = self._commands.get(key, (-math.inf, None))
        return command if command is not None and command.spent and at > since else None
