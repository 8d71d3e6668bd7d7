"""What can go wrong outside the bench."""

from __future__ import annotations


class BenchError(Exception):
    """A server, the generator or a tool did not do its part. One sentence for a person."""
