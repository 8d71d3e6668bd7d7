"""A call as the documents tell it by an example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Given = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Sample:
    """A request and its answer: a test holds both to the schemas.

    `name` is what generated clients call the call, and `tag` one of TAGS. `place`, `query` and
    `head` are what the path, the query and the head have. `json` is the body, or `text` where it
    is none; `reply` is what a 2xx has.
    """

    name: str
    tag: str
    reply: object
    place: Given = field(default_factory=dict)
    query: Given = field(default_factory=dict)
    head: Given = field(default_factory=dict)
    json: Given | None = None
    text: str = ""


TAGS: Mapping[str, str] = {
    "Commands": "Start and stop devices, and look up what became of it.",
    "Devices": "The list of known devices, and those that tried to register.",
    "Many devices": "Jobs that start, stop or change many devices, each device once.",
    "Reports": "The fleet's day, one device's day, one order's story.",
    "Events": "What happened, in numbered lines without a gap.",
    "Webhooks": "Receivers to which the gateway posts events.",
    "Alerts": "Who is notified when something needs attention, and of what.",
    "Users and tokens": "Who may ask, for what, and for which sites.",
    "Gateway": "How the gateway is, and what its operator asks of it.",
    "Cluster": "The nodes of a cluster.",
}

IMEI, NEXT = "123456787654321", "123456787654322"
COMMAND = "01KAY6H2V8Q4M3N5P7R9S1T2W3"
KEY = "order-4711"
ACCEPTED, SENT, ENDED = (f"2026-11-24T12:00:0{at}Z" for at in ("0.012", "0.013", "0.512"))
