"""From which level on lines are logged: as configured, or as somebody has said since."""

from __future__ import annotations

from collections.abc import Callable

LEVELS = ("debug", "info", "warning", "error")


class LogLevel:
    """The level in force."""

    def __init__(self, configured: str, put: Callable[[str], None]) -> None:
        """`put` has it take effect."""
        self.level = self.configured = configured
        self._put = put

    def say(self, level: str) -> None:
        """Log from this level on, until a reload or the end of the process."""
        self.level = level
        self._put(level)

    def apply(self, configured: str) -> None:
        """Go back to what is configured, which may be another level than before."""
        self.configured = configured
        self.say(configured)
