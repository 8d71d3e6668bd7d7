"""The types of events, and one event as a value."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple

from devgate.model import iso, nearest, shown

# Every type of event, and its meaning besides the device and the time.
KINDS: Mapping[str, str] = {
    "device.online": "a device registered; its address, and the number of its connection",
    "device.offline": "its connection ended; the reason, and its number",
    "device.taken_over": "a second connection registered that IMEI; its number, both addresses",
    "device.flapping": "takeovers repeat: two devices may share one IMEI; how many, in which time;"
    " with a count, that is how many registrations have no event of their own",
    "device.unknown": "a registration with an IMEI that is not in the store; its address, how many"
    " there were of this IMEI, and how many of others no event tells of",
    "device.mismatch": "a device says that a command named another IMEI than its own; that IMEI",
    "device.echoing": "a connection sends back what only the server sends; its address",
    "device.slow": "a device keeps answering later than ack_timeout; after how many seconds",
    "device.added": "a device is known from now on; its names, and who added it",
    "device.changed": "what is known of a device changed; each change, old and new, and by whom",
    "device.removed": "a device is no longer known; its names, and who removed it",
    "account.added": "a user or a token is known from now on; its rights, and who added it",
    "account.changed": "a user or a token changed; each change, old and new, by whom and from"
    " where",
    "account.removed": "a user or a token is no longer known; by whom and from where",
    "session.began": "somebody logged in; who, from where, and how",
    "session.refused": "somebody could not log in; the name if there is one, from where, and how"
    " many refusals were not told since the last one",
    "session.ended": "sessions were ended, by their user or another one; whose, and by whom",
    "maintenance.began": "a machine, or a whole site, takes no customer's start from now on; why,"
    " until when, and who said so",
    "maintenance.ended": "it takes starts again; by whom, or that its time is over",
    "command.accepted": "a start or stop was taken; what it asks",
    "command.sent": "it goes out to the device",
    "command.ended": "it has an outcome, or is unknown; its status",
    "command.late": "a result came after the 408; the new status",
    "command.corrected": "nothing was sent after all: a 408 became 404, and its key is free",
    "command.resolved": "a person said what became of a 408; the verdict, a note, and by whom",
    "command.ambiguous": "fewer answers came than commands were sent; the commands",
    "result.unsolicited": "a device reported a result that no command claims; what it said,"
    " and with a count, how many more",
    "alert.fired": "a rule has found something; the rule, its kind, how many, and some of them",
    "alert.cleared": "what a rule had found is over; the same",
    "alert.sent": "a receiver took a message; the rule, or none for a test, and how many tries",
    "alert.failed": "a message was given up, for its receiver did not take it; the same, and why",
    "webhook.added": "a receiver of events was added; its name, by whom and from where",
    "webhook.changed": "a receiver of events was changed; each change, old and new, by whom and"
    " from where",
    "webhook.removed": "a receiver of events was removed; its name, by whom and from where",
    "operation.done": "something was changed that has no event of its own; which operation, what"
    " was given, by whom and from where",
    "quarantine.allowed": "keys were listed as untried, which may be started; how many, by whom",
    "quarantine.lifted": "starts are accepted again; why they were not, and by whom it was lifted",
    "clock.doubted": "the wall clock is a day or more from the newest record, so that nothing is "
    "deleted; by how many seconds",
    "clock.trusted": "the wall clock is trusted again",
    "log.lost": "events that could not be kept while the database was away; how many",
}


# Changes and logins: the events of the audit.
AUDIT = (
    "account.added", "account.changed", "account.removed", "session.began", "session.refused",
    "session.ended", "webhook.added", "webhook.changed", "webhook.removed", "operation.done",
    "device.added", "device.changed", "device.removed", "command.resolved",
)  # fmt: skip

# Events about people and accounts: only for callers that may change accounts, and for webhooks,
# which are added by such callers.
PRIVATE = frozenset(
    kind for kind in AUDIT if kind.partition(".")[0] in ("account", "session", "operation")
)

# A webhook gets these only if it names them: the receiver of a shop must not learn who logs in.
NAMED = PRIVATE | {kind for kind in KINDS if kind.startswith("webhook.")}

# `device` stands for all events of devices.
GROUPS = frozenset(kind.partition(".")[0] for kind in KINDS)


def must_be_known(names: Iterable[str]) -> None:
    """Raises ValueError for a name that is neither an event nor a group of events."""
    for name in sorted(names):
        if name not in KINDS and name not in GROUPS:
            known = (*sorted(GROUPS), *KINDS)
            guess = nearest(name, known)
            hint = f"did you mean {guess}?" if guess else f"there are {', '.join(known)}"
            raise ValueError(f"events: no event is called {shown(name)}; {hint}")


def types_of(wanted: Collection[str]) -> frozenset[str]:
    """The types of these events and groups. Empty means all types, as argument and as result."""
    if not wanted:
        return frozenset()
    types = frozenset(t for t in KINDS if t in wanted or t.partition(".")[0] in wanted)
    return frozenset() if len(types) == len(KINDS) else types


def types_for_webhook(wanted: Collection[str]) -> frozenset[str]:
    """As types_of(), but empty means all types except NAMED."""
    return types_of(wanted) if wanted else frozenset(KINDS) - NAMED


class Event(NamedTuple):
    """One line of the log, in the columns of its table. `n` has no gaps."""

    at: float  # wall clock, in seconds
    type: str
    imei: str | None
    command: str | None
    detail: str  # a JSON object; it is parsed only when it is shown
    n: int

    @classmethod
    def of(cls, row: Sequence[Any]) -> Event:
        """The event in a row of its table."""
        return tuple.__new__(cls, row)  # as _make(), twice as fast

    def matches(self, types: Set[str]) -> bool:
        """Whether it is of one of these types; no type stands for all."""
        return not types or self.type in types

    def line(self) -> dict[str, object]:
        """The event in the form of control.md, for `watch`."""
        line: dict[str, object] = {
            "event": self.n,
            "at": iso(self.at),
            "type": self.type,
            "imei": self.imei,
        }
        if self.command is not None:
            line["command"] = self.command
        line.update(json.loads(self.detail))
        return line
