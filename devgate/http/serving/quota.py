"""What one caller may have at once: requests under way, streams and connections.

A token of the role `read` must not take the memory and the connections of all others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from devgate.http.problems import Problem

MAX_STREAMS = 32
# Starts wait for their machines, so a caller with the role `command` has many requests under way.
MAX_REQUESTS: Mapping[str, int] = {"read": 64, "command": 512, "admin": 512}
MAX_CONNECTIONS = MAX_REQUESTS

RETRY_HEADERS = {"Retry-After": "1"}


class Quota:
    """The shares of all callers, by their source (`http:NAME`, `web:NAME`)."""

    def __init__(self) -> None:
        self._requests: defaultdict[str, int] = defaultdict(int)
        self._streams: defaultdict[str, int] = defaultdict(int)
        self._connections: defaultdict[str, int] = defaultdict(int)

    @contextmanager
    def request(self, source: str, role: str) -> Iterator[None]:
        """Count a request while it is under way. Raises Problem (429) if that is one too many."""
        with _counted(self._requests, source, MAX_REQUESTS[role], "requests under way"):
            yield

    @contextmanager
    def stream(self, source: str) -> Iterator[None]:
        """The same for a stream."""
        with _counted(self._streams, source, MAX_STREAMS, "streams"):
            yield

    def connect(self, source: str, role: str) -> None:
        """Count a connection. Raises Problem (429) if that is one too many."""
        _reserve(self._connections, source, MAX_CONNECTIONS[role], "connections")

    def disconnect(self, source: str) -> None:
        """A connection has ended."""
        _release(self._connections, source)


@contextmanager
def _counted(counts: dict[str, int], source: str, limit: int, what: str) -> Iterator[None]:
    _reserve(counts, source, limit, what)
    try:
        yield
    finally:
        _release(counts, source)


def _reserve(counts: dict[str, int], source: str, limit: int, what: str) -> None:
    if counts[source] >= limit:
        name = source.partition(":")[2]
        raise Problem(
            "429",
            f"{name} has {limit} {what}, and no more are allowed; nothing was done",
            429,
            RETRY_HEADERS,
        )
    counts[source] += 1


def _release(counts: dict[str, int], source: str) -> None:
    counts[source] -= 1
    if not counts[source]:
        del counts[source]
