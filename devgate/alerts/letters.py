"""Messages of rules, as letters to receivers and as fields of events."""

from __future__ import annotations

from collections.abc import Sequence

from ulid import ULID

from devgate.alerts import wording
from devgate.alerts.courier import Letter
from devgate.alerts.engine import Firing, Message

MAX_EVENT_SUBJECTS = 10  # subjects that an event names
MAX_LABEL = 100  # characters of each


def letter_of(message: Message, language: str) -> Letter:
    """A message in the language of a receiver."""
    title, text = wording.words(message, language)
    kind = "fired" if message.fired or message.more or message.still else "cleared"
    data = {
        "kind": message.rule.kind,
        "fired": [_about(one) for one in message.fired],
        "cleared": [_about(one) for one in message.cleared],
        "still": [_about(one) for one in message.still],
        "more": message.more,
    }
    return Letter(new_id(), kind, title, text, message.rule.name, data)


def test_letter(name: str, language: str) -> Letter:
    """A test of that receiver."""
    return Letter(new_id(), "test", *wording.test(name, language))


def new_id() -> str:
    """Ids of letters: later ones are greater."""
    return str(ULID())


def named(some: Sequence[Firing]) -> list[str]:
    """The first of these, as events name them."""
    return [one.subject.label[:MAX_LABEL] for one in some[:MAX_EVENT_SUBJECTS]]


def _about(one: Firing) -> dict[str, object]:
    subject = one.subject
    return {"subject": subject.id, "label": subject.label, "site": subject.site}
