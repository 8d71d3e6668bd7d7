"""Orders: a filtered list of them, and what happened to one, second by second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from starlette.responses import Response

from devgate.gateway.operations import at_hand
from devgate.gateway.operations.arguments import MAX_SOURCE
from devgate.gateway.operations.history import KINDS
from devgate.http.pages import words
from devgate.http.pages.chosen import as_query, given, moments, sites
from devgate.http.pages.view import Visit

PAGE_ROWS = 50
NOT_DONE = "failed,unknown"  # one choice for both outcomes
CHOICES: Mapping[str, str] = {
    "": "all", NOT_DONE: "Failed or unknown", "pending": "Under way", "done": "Done",
    "failed": "Failed", "unknown": "Unknown", "refused": "Refused",
}  # fmt: skip


class OrderFilter(NamedTuple):
    """What is looked for. Days are the viewer's, both included."""

    outcome: str
    kind: str
    since: str
    until: str
    site: str
    source: str

    @classmethod
    def of(cls, visit: Visit) -> OrderFilter:
        """What the query of the page asks for."""
        found = given(visit, cls._fields)
        if found["outcome"] not in CHOICES:
            found["outcome"] = ""
        if found["kind"] not in KINDS:
            found["kind"] = ""
        return cls(**{**found, "source": found["source"][:MAX_SOURCE]})

    @property
    def query(self) -> str:
        """The filter as a query, for the next page."""
        return as_query(self._asdict())

    def args(self, visit: Visit) -> dict[str, object]:
        """The filter as fields of the operation."""
        args: dict[str, object] = {name: value or None for name, value in self._asdict().items()}
        return args | moments(visit, self.since, self.until)


async def show(visit: Visit) -> Response:
    """The commands of an order number, or the list of all."""
    query = visit.request.query_params
    key, chosen = query.get("key", "").strip(), OrderFilter.of(visit)
    gateway = visit.web.gateway
    items: Sequence[Mapping[str, Any]] = ()
    if key:
        reply: Mapping[str, Any] = await visit.ask_or(
            at_hand.now(at_hand.order, gateway, key), "order", key=key
        )
        items = [
            {**item, "verdict": verdict(visit, item), "offsets": offsets(visit, item)}
            for item in reply["items"]
        ]
    after, before = query.get("after") or None, query.get("before") or None
    page: Mapping[str, Any] = {"items": []}
    args = chosen.args(visit)
    if not items:
        page = await visit.ask_or(
            at_hand.now(at_hand.history, gateway, limit=PAGE_ROWS),
            "history", **args, after=after, before=None if after else before, count=True,
            limit=PAGE_ROWS,
        )  # fmt: skip
    return visit.page(
        "orders.html",
        title=key or visit.t("Orders"),
        key=key,
        items=items,
        page=page,
        chosen=chosen,
        choices=CHOICES,
        kinds=KINDS,
        sites=await sites(visit),
        inside=after or before,
        file=as_query(args, **{"for": "spreadsheet"}),
    )


def offsets(visit: Visit, item: Mapping[str, Any]) -> list[str]:
    """For each line of a story, how long before or after the order it was."""
    began = words.seconds_of(item["record"]["accepted_at"])
    found = []
    for line in item["lines"]:
        after = words.seconds_of(line["at"]) - began
        sign, size = ("+" if after >= 0 else "\u2212"), abs(after)
        text = f"{size:.3f} s" if size < 60 else words.span(visit.language, size)
        found.append(f"{sign}{text}" if after else "0")
    return found


def verdict(visit: Visit, item: Mapping[str, Any]) -> str:
    """One or two sentences that say what is certain about the outcome."""
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
