"""Records, statuses and times as text for people. It may change, as programs use JSON."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from devgate.cli.language import said
from devgate.cli.moments import clock, exact
from devgate.cli.output import plain, table, width
from devgate.model import in_units

Reply = Mapping[str, Any]

# The fields that the first lines of a status show. All others are listed below them.
GATEWAY_FIELDS = (
    "status", "message", "id", "version", "uptime", "listen", "connections", "registered",
    "devices", "in_flight", "waiting", "memory", "store", "quarantine", "draining",
    "background", "clock", "node", "nodes",
)  # fmt: skip
DEVICE_FIELDS = (
    "status", "message", "imei", "id", "name", "site", "enabled", "online", "since",
    "address", "heard", "running_until", "last", "slow", "maintenance",
)  # fmt: skip


def ago(at: object, now: float | None = None) -> str:
    """A time of control.md with its distance: `... (3 min ago)`, `... (in 7 min)`."""
    if not isinstance(at, str):
        return said("never")
    now = time.time() if now is None else now
    away = datetime.fromisoformat(at).timestamp() - now
    return f"{clock(at)} ({said(f'in {span(away)}' if away > 0 else f'{span(-away)} ago')})"


def span(seconds: float) -> str:
    """A length of time in its two largest units: `3 d 4 h`, `12 min 5 s`, `0 s`."""
    return " ".join(f"{count} {said(unit)}" for count, unit in in_units(seconds))


def size(count: float) -> str:
    """Bytes in the largest unit that fits."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def quarantine(held: Reply | None) -> str | None:
    """Why every start is refused, if that is so."""
    if not held:
        return None
    made = f" (made at {clock(held['copied_at'])})" if held["copied_at"] else ""
    keys = f"keys listed as untried: {held['keys']:,}"
    return f"every start is refused: {held['reason']}{made}; {keys}"


def gateway(reply: Reply) -> str:
    """The gateway's state."""
    listen: Mapping[str, Any] = reply.get("listen") or {}
    title = said(f"devgate {reply.get('version')}, up {span(float(reply.get('uptime') or 0))}")
    background: Mapping[str, Any] = reply.get("background") or {}
    in_doubt = reply.get("clock", "ok") != "ok"
    rows = [
        (
            "devices",
            said(f"{reply.get('registered', 0):,} registered of {reply.get('devices', 0):,}"),
        ),
        ("connections", f"{reply.get('connections', 0):,}"),
        (
            "commands",
            said(f"{reply.get('in_flight', 0):,} in flight, {reply.get('waiting', 0):,} waiting"),
        ),
        ("store", _word(reply.get("store"))),
        ("quarantine", quarantine(reply.get("quarantine"))),
        ("clock", reply["clock"] if in_doubt else None),
        *((task, state) for task, state in background.items() if state != "ok"),
        ("memory", size(reply["memory"]) if reply.get("memory") else None),
        *(
            (said(f"listens ({door})"), ", ".join(map(str, at)))
            for door, at in listen.items()
            if at
        ),
        *_rest(reply, GATEWAY_FIELDS),
        *((said(f"node {node.get('id')}"), _node(node)) for node in reply.get("nodes") or ()),
    ]
    title += said(f", node {reply['node']}") if reply.get("node") else ""
    return _sheet(title + (said(", draining") if reply.get("draining") else ""), rows)


def _node(node: Reply) -> str:
    if not node.get("alive"):
        return said("dead")
    load = said(f"{node.get('devices', 0):,} devices, {node.get('in_flight', 0):,} in flight")
    return load + (said(", draining") if node.get("draining") else "")


def device(reply: Reply) -> str:
    """One device's state."""
    called = ", ".join(str(reply[key]) for key in ("name", "site") if reply.get(key))
    title = f"{reply.get('imei')}  {called}  (id {reply.get('id')})".replace("    ", "  ")
    if reply.get("online"):
        state = said(f"online since {ago(reply.get('since'))}, from {reply.get('address')}")
    else:
        state = said(f"offline since {ago(reply['since'])}" if reply.get("since") else "offline")
    if not reply.get("enabled", True):
        state += said(", disabled")
    last, maintained = reply.get("last"), reply.get("maintenance")
    rows = [
        ("state", state),
        ("maintenance", _maintained(maintained) if maintained else None),
        ("last heard", ago(reply.get("heard"))),
        (
            "runs",
            said(f"until {ago(reply['running_until'])}" if reply.get("running_until") else "no"),
        ),
        ("last command", _brief(last) if last else said("none")),
        ("answers", _slow(reply["slow"]) if reply.get("slow") else None),
        *_rest(reply, DEVICE_FIELDS),
    ]
    return _sheet(title, rows)


def _maintained(entry: Mapping[str, Any]) -> str:
    parts = [
        said("yes, with its whole site" if entry.get("whole_site") else "yes"),
        said(f"since {clock(entry.get('since'))}"),
        said(f"until {clock(entry['until'])}") if entry.get("until") else "",
        str(entry.get("reason") or ""),
    ]
    return ", ".join(part for part in parts if part)


def _slow(slow: Mapping[str, Any]) -> str:
    return said(f"after {slow['seconds']:g} s, later than ack_timeout ({slow['ack_timeout']:g} s)")


def devices(items: Iterable[Reply]) -> str:
    """Devices as a table, with lengths of time: they are shorter than times, and easier to
    read."""
    now = time.time()

    def length(at: str | None) -> str | None:
        return span(abs(datetime.fromisoformat(at).timestamp() - now)) if at else None

    rows = [
        (
            item["imei"], item["id"], item["name"], item["site"],
            said({True: "online", False: "offline"}.get(item["online"], "unknown"))
            + ("" if item["enabled"] else said(", disabled")),
            length(item["since"]), length(item["running_until"]),
        )
        for item in items
    ]  # fmt: skip
    return table(("IMEI", "ID", "NAME", "SITE", "STATE", "FOR", "LEFT TO RUN"), rows)


def record(reply: Reply) -> str:
    """One command's record, all of it."""
    late = said(", late") if reply.get("late") else ""
    rows = [
        ("device", reply.get("imei")),
        ("outcome", f"{reply.get('status')}{late}: {said(str(reply.get('message')))}"),
        ("state", _word(reply.get("state"))),
        ("key", reply.get("key")),
        ("source", reply.get("source")),
        ("accepted", _exact(reply.get("accepted_at"))),
        ("sent", _exact(reply.get("sent_at"))),
        ("ended", _exact(reply.get("ended_at"))),
        ("late result", _exact(reply.get("late_at"))),
        ("group", reply.get("group")),
        ("resolution", _word(reply.get("resolution"))),
        ("verdict", _verdict(reply)),
        ("note", reply.get("note")),
    ]
    return _sheet(f"{reply.get('command')}  {_order(reply)}", rows)


def records(items: Iterable[Reply]) -> str:
    """Commands as a table, one a line."""
    rows = [
        (
            clock(item.get("accepted_at")), item.get("imei"), _order(item),
            _word(item.get("state" if item.get("state") in ("waiting", "sent") else "status")),
            said("late") if item.get("late") else "", item.get("key"), item.get("command"),
        )
        for item in items
    ]  # fmt: skip
    if not rows:
        return said("no commands")
    return table(("ACCEPTED", "IMEI", "ORDER", "STATUS", "", "KEY", "COMMAND"), rows)


def unknown(items: Iterable[Reply]) -> str:
    """Unknown outcomes as a table, one a line; those of a group stand together."""
    rows = [
        (
            clock(item.get("ended_at")), item.get("site"), item.get("name") or item.get("imei"),
            _order(item), item.get("key"), _why(item), item.get("command"),
        )
        for item in items
    ]  # fmt: skip
    if not rows:
        return said("none")
    return table(("ENDED", "SITE", "DEVICE", "ORDER", "KEY", "", "COMMAND"), rows)


def _why(item: Reply) -> str | None:
    """Why an unknown outcome needs a closer look, or how it was resolved."""
    if item.get("verdict"):
        return f"{_word(item.get('resolution'))}: {_verdict(item)}"
    return said("ambiguous") if item.get("ambiguous") else None


def _verdict(item: Reply) -> str | None:
    if not item.get("verdict"):
        return None
    by, at = item.get("resolved_by"), _exact(item.get("resolved_at"))
    return said(f"{item.get('verdict')}, by {by} at {at}")


def found(reply: Reply) -> str:
    """What `devgate find` has found."""
    parts = [f"{said('site')}  {plain(reply['site'])}"] if reply.get("site") else []
    if reply.get("commands"):
        parts.append(records(reply["commands"]))
    if reply.get("devices"):
        parts.append(devices(reply["devices"]))
    return "\n\n".join(parts) or said("nothing is called that")


def _order(item: Reply) -> str:
    long = item.get("long")
    return str(_word(item.get("type"))) + ("" if long is None else f" {long}")


def _word(value: object) -> object:
    """A word of a record in the reader's language; any other value as it is."""
    return said(value) if isinstance(value, str) else value


def _brief(item: Reply) -> str:
    outcome = f"{item.get('status')} {said(str(item.get('message')))}"
    return f"{_order(item)}, {ago(item.get('accepted_at'))}: {outcome}"


def _exact(at: object) -> str | None:
    return exact(at) or None


def _rest(reply: Reply, known: Iterable[str]) -> list[tuple[str, object]]:
    return [(said(key.replace("_", " ")), reply[key]) for key in reply if key not in known]


def _sheet(title: str, rows: Iterable[tuple[str, object]]) -> str:
    """A title, and below it names with their values; those without one are left out."""
    lines = [plain(title)]
    for name, value in rows:
        if value is not None and value != "":
            label = said(name)
            lines.append(f"  {label}{' ' * (17 - width(label))} {plain(str(value))}")
    return "\n".join(lines)
