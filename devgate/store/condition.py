"""Whether the writer's database can be written, and when the next try is."""

from __future__ import annotations

import logging
import math

RETRY_SECONDS = 0.1  # until a failed commit is tried again, doubled up to MAX_RETRY_SECONDS
MAX_RETRY_SECONDS = 2.0

log = logging.getLogger("devgate.store")


class Condition:
    """The state of the database by the latest commits. Only the writer's task changes it.

    An outage is one line of the log when it begins, however often a commit is tried meanwhile.
    """

    def __init__(self) -> None:
        self.outage = ""  # why nothing can be written; empty while all is well
        self.pause = 0.0  # seconds before the next try; 0 while all is well
        self.since = math.inf  # when the commit that is under way began, by time.monotonic()

    def fails(self, sentence: str) -> None:
        """A commit cannot be carried out now, for this reason; the next pause is longer."""
        if not self.outage:
            log.error("database cannot be written reason=%s", sentence)
        self.outage = sentence
        self.pause = min(max(self.pause * 2, RETRY_SECONDS), MAX_RETRY_SECONDS)

    def works(self, lost: int) -> bool:
        """The database takes rows. Returns whether it did not before.

        `lost`: how many rows were given up since the start.
        """
        was, self.outage = self.outage, ""
        self.pause = 0.0
        if was:
            log.warning("database can be written again lost=%s", lost)
        return bool(was)
