"""What needs a person's attention, worst first: one list over the whole gateway."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from devgate.alerts.certificates import Certificate
from devgate.model import iso
from devgate.store.absence import Absence

CRITICAL, WARNING = "critical", "warning"
# That are compared with those before them; the hour that has not ended is among them.
RECENT_HOURS = 3
# Failures are reported if there are at least this many, twice as many as usual, and more than the
# usual rate makes by chance: three standard deviations.
MIN_FAILURES, MIN_TIMES_USUAL, MIN_DEVIATIONS = 5, 2.0, 3.0
# The part of the fleet that must be offline for a warning, and for a critical item.
WARNING_PART, CRITICAL_PART = 0.05, 0.2
MAX_SITES = 5
EXPIRY_SECONDS = 21 * 86400.0  # before a certificate expires


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to look at. A field that its kind does not have is None."""

    kind: str
    level: str  # CRITICAL or WARNING
    count: int
    of: int | None = None
    name: str | None = None  # of a site, a webhook, or the door of a certificate
    since: str | None = None
    detail: str | None = None  # a message; of a certificate, when it expires
    usual: float | None = None  # percent


class Rate(NamedTuple):
    """Commands that were sent, and how many of them failed or have an unknown outcome."""

    failed: int
    sent: int

    @classmethod
    def of(cls, hours: Iterable[Mapping[str, Any]]) -> Rate:
        """The sum of these hours."""
        failed = sent = 0
        for hour in hours:
            bad = hour["failed"] + hour["unknown"]
            failed, sent = failed + bad, sent + bad + hour["done"]
        return cls(failed, sent)


def failures(recent: Rate, usual: Rate) -> Item | None:
    """Whether more commands fail than usual."""
    if recent.failed < MIN_FAILURES:
        return None
    part = usual.failed / usual.sent if usual.sent else 0.0
    expected = recent.sent * part
    if recent.failed < MIN_TIMES_USUAL * expected:
        return None
    if recent.failed < expected + MIN_DEVIATIONS * math.sqrt(expected):
        return None
    percent = round(100 * part, 1) if usual.sent else None
    return Item("failures", WARNING, recent.failed, recent.sent, usual=percent)


def absent(absence: Absence, offline: int, of: int) -> Item | None:
    """Devices that are offline for more than a day, or all that are if these are many."""
    if not of or not (absence.day or offline >= WARNING_PART * of):
        return None
    level = CRITICAL if offline >= CRITICAL_PART * of else WARNING
    return Item("offline", level, absence.day, offline)


def found(
    *,
    store: str,
    unknown: int,
    dark: Sequence[Mapping[str, Any]],
    absence: Item | None,
    failing: Item | None,
    strangers: int,
    webhooks: Iterable[tuple[str, str, str, float | None]],
    odd: int,
    certificates: Iterable[Certificate] = (),
    quarantine: str | None = None,
    now: float = 0.0,
    max_sites: int = MAX_SITES,
) -> list[dict[str, object]]:
    """All items of a reply, the critical ones first. `webhooks` are (name, state, what
    went wrong, when it had its last event); of `certificates` those are listed that expire within
    EXPIRY_SECONDS."""
    items: list[Item] = []
    if store != "ok":
        items.append(Item("store", CRITICAL, 1, detail=store))
    if quarantine is not None:
        items.append(Item("quarantine", CRITICAL, 1, detail=quarantine))
    if unknown:
        items.append(Item("unknown_outcomes", CRITICAL, unknown))
    items += [
        Item("site_outage", CRITICAL, missing, one["of"], one["site"], one["first"])
        for one in dark[:max_sites]
        if (missing := one["devices"] - one["back"]) > 0
    ]
    items += [one for one in (failing, absence) if one is not None]
    for name, state, detail, at in webhooks:
        if state != "ok":
            level = WARNING if state == "failing" else CRITICAL
            items.append(Item("webhook", level, 1, name=name, since=iso(at), detail=detail))
    for door, _, expires in certificates:
        if expires < now + EXPIRY_SECONDS:
            level = CRITICAL if expires < now else WARNING
            items.append(Item("certificate", level, 1, name=door, detail=iso(expires)))
    if strangers:
        items.append(Item("unknown_devices", WARNING, strangers))
    if odd:
        items.append(Item("odd_devices", WARNING, odd))
    items.sort(key=lambda one: one.level != CRITICAL)  # a stable sort
    return [asdict(one) for one in items]
