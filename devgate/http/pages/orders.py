"""Everything that happened to one order, second by second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from devgate.gateway.operations import at_hand
from devgate.http.pages import words
from devgate.http.pages.view import Visit

LATEST = 20


async def show(visit: Visit) -> Response:
    """The commands of an order number, or the latest of all."""
    key, gateway = visit.request.query_params.get("key", "").strip(), visit.web.gateway
    items: Sequence[Mapping[str, Any]] = ()
    latest: Mapping[str, Any] = {"items": []}
    if key:
        reply: Mapping[str, Any] = await visit.ask_or(
            at_hand.now(at_hand.order, gateway, key), "order", key=key
        )
        items = [
            {**item, "verdict": verdict(visit, item), "offsets": offsets(visit, item)}
            for item in reply["items"]
        ]
    if not items:
        latest = await visit.ask_or(
            at_hand.now(at_hand.history, gateway, limit=LATEST), "history", limit=LATEST
        )
    return visit.page(
        "orders.html", title=key or visit.t("Orders"), key=key, items=items, latest=latest["items"]
    )


def offsets(visit: Visit, item: Mapping[str, Any]) -> list[str]:
    """How long before or after the order each line was."""
    began = words.seconds_of(item["record"]["accepted_at"])
    found = []
    for line in item["lines"]:
        after = words.seconds_of(line["at"]) - began
        sign, size = ("+" if after >= 0 else "\u2212"), abs(after)
        text = f"{size:.3f} s" if size < 60 else words.span(visit.language, size)
        found.append(f"{sign}{text}" if after else "0")
    return found


def verdict(visit: Visit, item: Mapping[str, Any]) -> str:
    """One or two sentences that settle what can be settled."""
    record, t = item["record"], visit.t
    status, sent = record["status"], record["sent_at"]
    asked = words.long_of(visit.language, record["long"], item["unit"])
    if status == "000":
        return t("It is still under way.")
    if status == "200":
        after = words.seconds_of(record["late_at"] or record["ended_at"]) - words.seconds_of(sent)
        if record["type"] == "stop":
            return t("The device confirmed the stop {after:.1f} s after it was sent.", after=after)
        text = t(
            "The device confirmed the start of {asked} {after:.1f} s after it was sent.",
            asked=asked, after=after,
        )  # fmt: skip
        if record["running"]:
            text += " " + t("It was running already, so its time was added.")
        return text
    if status == "408":
        return t(
            "It was sent, and no answer came. Nobody can say whether the device did it: look at"
            " the device, or ask the customer."
        )
    if status in ("201", "202"):
        return t("It was sent, and the device refused it: it did not run for this order.")
    return t("Nothing was ever sent to the device. The customer must not pay for this.")
