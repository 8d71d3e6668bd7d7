"""What those who follow the events were told, beside the events on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from crashing.processes import Json
from crashing.verdict import Verdict
from crashing.webhooks import judge

if TYPE_CHECKING:
    from faulting.judge import Event


def watched_as_on_disk(verdict: Verdict, disk: Iterable[Event], watched: Iterable[Json]) -> None:
    """`watch` told what is on disk, as far as it came."""
    seen = {event.get("event"): event for event in watched}
    last = max((number for number in seen if number is not None), default=0)
    for event in disk:
        if event.n > last:
            break
        found = seen.pop(event.n, None)
        if found is None:
            verdict.other.append(f"event {event.n} {event.type} was never told to `watch`")
            continue
        line = {"type": event.type, "imei": event.imei}
        if event.command is not None:
            line["command"] = event.command
        if not (line | json.loads(event.detail)).items() <= found.items():
            verdict.other.append(f"`watch` told {found}, and on disk is {event}")
    for number, told in seen.items():
        verdict.lost.append(f"`watch` told event {number}, which is not on disk: {told}")


def posted_as_due(
    verdict: Verdict, due: Sequence[Json], received: Sequence[Sequence[str]]
) -> None:
    """The webhook got each of these events, in its device's order, and nothing unsigned."""
    lost, order, forged = judge(due, received)
    verdict.other += [f"webhook: {sentence}" for sentence in [*lost, *order]]
    if forged:
        verdict.other.append(f"webhook: {forged} requests were not signed as they should be")
