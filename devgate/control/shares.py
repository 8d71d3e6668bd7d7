"""The limits of one token on control TCP: connections and streams."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from devgate.errors import CallerError

# The most of each. A connection has at most 1,024 requests under way (`connection.Limits`).
MAX_OF_TOKEN: Mapping[str, int] = {"connections": 64, "streams": 32}


class Shares:
    """Counts by source ("tcp:NAME"), over all connections."""

    def __init__(self) -> None:
        self._counts: defaultdict[tuple[str, str], int] = defaultdict(int)

    def reserve(self, what: str, source: str) -> None:
        """One more of `what`, a key of MAX_OF_TOKEN. Raises CallerError (429) if it has enough."""
        if self._counts[what, source] >= MAX_OF_TOKEN[what]:
            name = source.partition(":")[2] or source
            raise CallerError(
                "429",
                f"the token {name} has {MAX_OF_TOKEN[what]} {what}, and no more are allowed; "
                "nothing was done",
            )
        self._counts[what, source] += 1

    def release(self, what: str, source: str) -> None:
        """Count one less of `what`."""
        self._counts[what, source] -= 1
        if not self._counts[what, source]:
            del self._counts[what, source]
