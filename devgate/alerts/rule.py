"""A rule: what people are notified of, for which machines, after which time, and quiet hours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from devgate.alerts.scope import stored_sites, with_sites
from devgate.model import shown
from devgate.store.alert_scope import Scope

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
MAX_RULES, MAX_RECEIVERS = 200, 200
# Of rules, and of receivers: the maximum for all owners together that may see only some sites.
MAX_OF_LIMITED_OWNERS = 20
MAX_MINUTES = 7 * 1440  # that a condition may have to last before it is reported
MAX_DAYS = 365  # days before a certificate expires
MAX_REPEAT = 7 * 1440  # minutes
MAX_ZONE = 64  # characters

_QUIET = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


class RuleKind(NamedTuple):
    """A kind of rule, with its default values."""

    minutes: int | None  # how long the condition must last; None: the kind has no such time
    sited: bool  # it may be for one site
    many: bool = False  # its subjects are machines or commands, of which there may be thousands


# The words are those of "attention" (`gateway.reports.attention`), which finds most of them.
KINDS: Mapping[str, RuleKind] = {
    "offline": RuleKind(15, True, True),
    "site_outage": RuleKind(0, True),
    "unknown_outcomes": RuleKind(30, True, True),
    "failures": RuleKind(0, False),
    "unknown_devices": RuleKind(0, False),
    "webhook": RuleKind(5, False),
    "store": RuleKind(1, False),
    "certificate": RuleKind(None, False),
}
DAYS = 21  # before a certificate expires, by default


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, in the columns of its table."""

    name: str
    kind: str
    receivers: tuple[str, ...]
    site: str = ""  # nothing: all
    minutes: int = 0
    days: int = 0
    quiet: str = ""  # "22:00-07:00" in `zone`; nothing: never
    zone: str = ""  # nothing: that of its site, or the one of sites without their own
    repeat: int = 0  # minutes; 0: it is reported once
    all_clear: bool = True
    enabled: bool = True
    added_at: float = 0.0
    tag: str = ""  # nothing: any
    # Of who made it, if he may see some sites alone (`scope.Keeper`).
    sites: frozenset[str] | None = None
    owner: str = ""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Rule:
        """The rule in a row of the table."""
        names = tuple(name for name in row["receivers"].split(",") if name)
        return cls(**{**with_sites(row), "receivers": names})

    def row(self) -> dict[str, Any]:
        """The row of the table."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {**values, "receivers": ",".join(self.receivers), "sites": stored_sites(self.sites)}

    @property
    def scope(self) -> Scope:
        """The machines that it is for."""
        return Scope(self.site, self.tag, self.sites)

    def finds_as(self, other: Rule) -> bool:
        """Whether both rules find the same subjects."""
        names = ("kind", "site", "tag", "minutes", "days")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def is_quiet(self, now: float) -> bool:
        """Whether it has quiet hours at this time (wall clock)."""
        found = _QUIET.fullmatch(self.quiet)
        if found is None:
            return False
        begin, end = (int(found[n]) * 60 + int(found[n + 1]) for n in (1, 3))
        here = datetime.fromtimestamp(now, UTC).astimezone(zone_of(self.zone or "UTC"))
        minute = here.hour * 60 + here.minute
        if begin <= end:
            return begin <= minute < end
        return minute >= begin or minute < end  # over midnight


def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name. Raises ValueError if there is none."""
    try:
        if not name.isascii() or len(name) > MAX_ZONE:
            raise ValueError
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError(
            f'zone: a time zone like "Asia/Shanghai" expected, or "UTC", not {shown(name)}'
        ) from None


def checked(rule: Rule) -> Rule:
    """The same rule. Raises ValueError with the field and what was expected."""
    if not NAME.fullmatch(rule.name):
        raise ValueError(
            "name: 1 to 64 letters, digits, dots, dashes and underlines expected, not "
            f"{shown(rule.name)}"
        )
    kind = KINDS.get(rule.kind)
    if kind is None:
        raise ValueError(f"kind: one of {', '.join(KINDS)} expected, not {shown(rule.kind)}")
    if rule.site and not kind.sited:
        raise ValueError(f"site: a rule about {rule.kind} is for all sites; leave it out")
    if rule.tag and not kind.many:
        raise ValueError(f"tag: a rule about {rule.kind} is not for single machines; leave it out")
    if rule.sites is not None and not kind.sited:
        sited = ", ".join(name for name, one in KINDS.items() if one.sited)
        raise ValueError(
            f"kind: a rule about {rule.kind} is for who sees all sites; there are {sited}"
        )
    if not 0 <= rule.minutes <= MAX_MINUTES:
        raise ValueError(f"minutes: 0 to {MAX_MINUTES} expected, not {rule.minutes}")
    if kind.minutes is None and rule.minutes:
        raise ValueError(f"minutes: a rule about a {rule.kind} has days; leave minutes out")
    if kind.minutes is None and not 1 <= rule.days <= MAX_DAYS:
        raise ValueError(f"days: 1 to {MAX_DAYS} expected, not {rule.days}")
    if kind.minutes is not None and rule.days:
        raise ValueError(f"days: a rule about {rule.kind} has minutes; leave days out")
    if not rule.receivers:
        raise ValueError("receivers: at least one expected, of those in the list of receivers")
    if rule.quiet and not _QUIET.fullmatch(rule.quiet):
        raise ValueError(f'quiet: "22:00-07:00" or "" expected, not {shown(rule.quiet)}')
    if rule.repeat and not 5 <= rule.repeat <= MAX_REPEAT:
        raise ValueError(f"repeat: 5 to {MAX_REPEAT} minutes, or 0, expected, not {rule.repeat}")
    if rule.zone:
        zone_of(rule.zone)
    return rule
