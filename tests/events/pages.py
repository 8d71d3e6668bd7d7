"""What a page of the log is, in the plainest words: the store's pages are compared with it."""

from __future__ import annotations

from collections.abc import Sequence, Set

from devgate.events.kinds import Event
from devgate.events.log import EventPage


def page_of(
    events: Sequence[Event], after: int, until: int, limit: int, types: Set[str]
) -> EventPage:
    """The page that a table with these events gives."""
    kept = [event for event in events if after < event.n <= until]
    if not kept:
        return EventPage((), after + 1, after)
    wanted = [event for event in kept if not types or event.type in types][:limit]
    end = wanted[-1].n if len(wanted) == limit else kept[-1].n
    return EventPage(wanted, kept[0].n, end)
