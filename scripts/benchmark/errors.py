"""What can go wrong outside the bench."""

from __future__ import annotations

from script import Broken


class BenchError(Broken):
    """A server, the generator or a tool did not do its part. One sentence for a person."""
