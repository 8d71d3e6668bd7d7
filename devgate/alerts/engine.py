"""Decides which subjects of a rule fire, and when a message is due. No I/O, no clock.

A subject is a machine, a site, a command or a webhook that a rule has found. It *fires* once its
condition has lasted as long as the rule requires, and is *cleared* when the condition is over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from devgate.alerts.rule import Rule

MAX_SUBJECTS = 200  # of a rule, that are followed one by one; further ones are only counted
MAX_BEYOND = 10_000  # ... at most this many of them
CALM_SECONDS = 300.0  # until a condition of a rate or a state that ended counts as over
# Between two messages of a rule: what is found meanwhile is in the second one.
GATHER_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Subject:
    """A machine, command or state for which a rule's condition is true."""

    id: str
    label: str  # what people call it
    site: str = ""
    since: float | None = None  # wall clock


@dataclass(slots=True)
class Firing:
    """A subject that people are, or will be, notified of. Times are wall clock."""

    subject: Subject
    fired_at: float
    told_at: float | None = None
    cleared_at: float | None = None
    seen_at: float = 0.0  # when the condition was last true
    in_flight: bool = False  # a message about it is on its way


@dataclass(frozen=True, slots=True)
class Message:
    """One message to the receivers of a rule."""

    rule: Rule
    fired: Sequence[Firing] = ()
    cleared: Sequence[Firing] = ()
    still: Sequence[Firing] = ()  # reported before, and repeated
    more: int = 0  # subjects that were found besides, and are not followed
    firing: int = 0  # how many fire now


@dataclass(slots=True)
class Watch:
    """The state of one rule: its subjects that fire or may fire soon."""

    rule: Rule
    firing: dict[str, Firing] = field(default_factory=dict)
    beyond: set[str] = field(default_factory=set)  # found and not followed, since the last message
    changed: set[str] = field(default_factory=set)  # subjects whose rows are to be written
    gone: set[str] = field(default_factory=set)  # ... to be deleted
    _first: dict[str, float] = field(default_factory=dict)  # since when, of what has not fired yet
    _next_at: float = 0.0  # of the next message
    _reported_at: float = 0.0

    def restore(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Restore the rows of an earlier run."""
        for row in rows:
            subject = Subject(row["subject"], row["label"], row["site"], row["since"])
            self.firing[subject.id] = Firing(
                subject, row["fired_at"], row["told_at"], row["cleared_at"], row["fired_at"]
            )
            self._reported_at = max(self._reported_at, row["told_at"] or 0.0)

    def row(self, id: str) -> dict[str, Any]:
        """The row of a subject that fires."""
        one = self.firing[id]
        return {
            "rule": self.rule.name, "subject": id, "label": one.subject.label,
            "site": one.subject.site, "since": one.subject.since, "fired_at": one.fired_at,
            "told_at": one.told_at, "cleared_at": one.cleared_at,
        }  # fmt: skip

    def keep_within(self, sites: frozenset[str] | None) -> None:
        """Remove subjects at other sites, without a message. None: keep all."""
        if sites is not None:
            for id in [id for id, one in self.firing.items() if one.subject.site not in sites]:
                self._drop(id)

    # Subjects

    def state(self, present: Sequence[Subject], now: float) -> None:
        """All subjects now, of a kind that is evaluated as a whole."""
        here = {one.id: one for one in present}
        self._first = {id: self._first.get(id, now) for id in here}
        for id, subject in here.items():
            if (one := self.firing.get(id)) is not None:
                one.seen_at = now
                self._fire_again(one)
            elif now - self._first[id] >= 60 * self.rule.minutes:
                self._fire(subject, now)
        self.clear(
            [
                id
                for id, one in self.firing.items()
                if id not in here and now - one.seen_at >= CALM_SECONDS
            ],
            now,
        )

    def found(self, subjects: Iterable[Subject], now: float) -> None:
        """Subjects whose condition has lasted as long as the rule asks, of a kind with many."""
        for subject in subjects:
            if (one := self.firing.get(subject.id)) is not None:
                self._fire_again(one)
            else:
                self._fire(subject, now)

    def clear(self, ids: Collection[str], now: float) -> None:
        """The condition of these subjects is over."""
        for id in ids:
            one = self.firing[id]
            if one.cleared_at is not None:
                continue
            if (one.told_at is None and not one.in_flight) or not self.rule.all_clear:
                self._drop(id)
            else:
                one.cleared_at = now
                self.changed.add(id)

    def _fire_again(self, one: Firing) -> None:
        """The condition is true again before a message said that it was over."""
        if one.cleared_at is not None:
            one.cleared_at = None
            self.changed.add(one.subject.id)

    def _fire(self, subject: Subject, now: float) -> None:
        if len(self.firing) >= MAX_SUBJECTS:
            if len(self.beyond) < MAX_BEYOND:
                self.beyond.add(subject.id)
            return
        self.firing[subject.id] = Firing(subject, now, seen_at=now)
        self.changed.add(subject.id)
        self.gone.discard(subject.id)

    def _drop(self, id: str) -> None:
        del self.firing[id]
        self.changed.discard(id)
        self.gone.add(id)

    # Messages

    def message(self, now: float) -> Message | None:
        """The next message, if one is due now. Its subjects are `in_flight` from then on."""
        if self.rule.is_quiet(now) or now < self._next_at:
            return None
        waiting = [one for one in self.firing.values() if not one.in_flight]
        fired = [one for one in waiting if one.told_at is None and one.cleared_at is None]
        cleared = [one for one in waiting if one.cleared_at is not None]
        still = [one for one in waiting if one.told_at is not None and one.cleared_at is None]
        repeats = self.rule.repeat and now - self._reported_at >= 60 * self.rule.repeat
        if not (fired or cleared or self.beyond or (still and repeats)):
            return None
        message = Message(
            self.rule, fired, cleared, still if repeats else (), len(self.beyond),
            sum(one.cleared_at is None for one in self.firing.values()),
        )  # fmt: skip
        for one in (*fired, *cleared):
            one.in_flight = True
        self.beyond.clear()
        self._reported_at, self._next_at = now, now + GATHER_SECONDS
        return message

    def delivered(self, message: Message, now: float) -> None:
        """Its receivers have it, or cannot be reached: it is not sent again."""
        for one in message.fired:
            if self.firing.get(one.subject.id) is one:
                one.in_flight, one.told_at = False, now
                self.changed.add(one.subject.id)
        for one in message.cleared:
            if self.firing.get(one.subject.id) is one:
                one.in_flight = False
                if one.cleared_at is not None:  # otherwise it fires again, and is reported as new
                    self._drop(one.subject.id)
                else:
                    one.told_at = None
                    self.changed.add(one.subject.id)
