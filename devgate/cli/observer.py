"""The requests of `devgate top` to its gateway, and the texts of the answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from devgate.cli import describe
from devgate.cli.language import said
from devgate.cli.output import exit_code, finish, plain
from devgate.control.client import Channel

Item = Mapping[str, Any]

LOOK_SECONDS = 1.0  # seconds between two looks
# For each this many registered devices, the table is read a second later: to find the devices that
# are online, the gateway goes through all of them.
MANY_DEVICES = 20_000
MAX_EVENTS = 200  # more than any screen has lines
MAX_PAGE = 1000  # devices that the gateway gives at once

# The order of the devices in the table, as filters of `devices` requests.
SECTIONS: tuple[Mapping[str, bool], ...] = (
    {"running": True},
    {"running": False, "online": True},
    {"running": False, "online": False},
)


class Cursor(NamedTuple):
    """Where a page begins: behind the IMEI `after` of a section."""

    section: int = 0
    after: str | None = None


@dataclass(frozen=True, slots=True)
class DevicePage:
    """Devices, and where the next page begins, if there is one. `failed`: the reply of an
    error."""

    items: list[Item]
    next: Cursor | None = None
    failed: Item | None = None


class Observer:
    """One connection to the gateway. Its constructor and its methods raise NoGateway."""

    def __init__(self, path: str) -> None:
        self.events: deque[Item] = deque(maxlen=MAX_EVENTS)  # the latest, oldest first
        self._seen = 0  # the number of the last event asked for
        self._channel = Channel(path)

    def __enter__(self) -> Observer:
        return self

    def __exit__(self, *exc: object) -> None:
        self._channel.__exit__(*exc)

    def ask(self, **request: object) -> dict[str, Any]:
        """The reply to one request."""
        self._channel.send(request)
        return self._channel.awaited()

    def gateway(self) -> Item:
        """The gateway's state. If the gateway refuses to tell it, the program ends."""
        reply = self.ask(type="status")
        if exit_code(reply):
            finish(reply, as_json=False)
        return reply

    def page(self, place: Cursor, limit: int) -> DevicePage:
        """At most `limit` devices from that place on, running ones first."""
        found: dict[str, Item] = {}  # by IMEI: one that begins to run meanwhile comes twice
        section, after = place
        limit = min(limit, MAX_PAGE)
        while section < len(SECTIONS) and len(found) < limit:
            more = {} if after is None else {"after": after}
            missing = limit - len(found)
            reply = self.ask(type="devices", limit=missing, **SECTIONS[section], **more)
            if exit_code(reply):
                return DevicePage([], failed=reply)
            for item in reply["items"]:
                found.setdefault(item["imei"], item)
            after = reply.get("next")
            section += after is None
        last = section == len(SECTIONS)
        return DevicePage(list(found.values()), None if last else Cursor(section, after))

    def news(self, gateway: Item) -> None:
        """Add to `events` what happened up to this state of the gateway.

        If the database is away, the gateway cannot answer; the next call asks again.
        """
        last = int(gateway.get("last_event") or 0)
        if self._seen > last:
            self._seen = 0  # another gateway, with other numbers, is at the socket now
        if (after := max(self._seen, last - MAX_EVENTS)) < last:
            reply = self.ask(type="events", after=after, limit=MAX_EVENTS)
            if not exit_code(reply):
                self.events += reply["items"]
                self._seen = int(reply["last"])


COLUMNS = ("NAME", "STATE", "LEFT TO RUN", "SITE", "LAST HEARD", "IMEI")


def header(gateway: Item) -> list[str]:
    """The gateway's state in two lines."""
    up = describe.span(float(gateway["uptime"]))
    title = said(f"devgate {gateway.get('version')}, up {up}")
    parts = (
        f"registered {gateway['registered']:,} of {gateway['devices']:,}",
        f"connections {gateway['connections']:,}",
        f"in flight {gateway['in_flight']:,}",
        f"waiting {gateway['waiting']:,}",
        f"store {plain(str(gateway['store']))}",
        f"memory {describe.size(gateway['memory'])}",
    )
    draining = said(", draining") if gateway.get("draining") else ""
    return [title + draining, "   ".join(map(said, parts))]


def cells(item: Item, now: float) -> tuple[str, ...]:
    """A device's line of the table."""
    state = "online" if item["online"] else "offline"
    if item["running_until"]:
        state = "running" if item["online"] else "running, offline"
    return (
        item["name"] or f"No. {item['id']}",
        said(state) + ("" if item["enabled"] else said(", disabled")),
        describe.span(max(0.0, _seconds(item["running_until"]) - now))
        if item["running_until"]
        else "",
        item["site"],
        said(f"{describe.span(max(0.0, now - _seconds(item['heard'])))} ago")
        if item["heard"]
        else "",
        item["imei"],
    )


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
