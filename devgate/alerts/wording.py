"""A message in words, in English or Chinese: its title and its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import tomli

from devgate.alerts.engine import Firing, Message
from devgate.alerts.rule import zone_of

MAX_NAMED = 20  # subjects that a message names; the others are counted
LANGUAGES = ("en", "zh")


@cache
def _texts(language: str) -> Mapping[str, Mapping[str, str]]:
    return tomli.loads((Path(__file__).parent / f"{language}.toml").read_text("utf-8"))


def words(message: Message, language: str) -> tuple[str, str]:
    """The title and the text of a message."""
    texts = _texts(language)
    name, says = texts[message.rule.kind], texts["says"]
    one, many = name["one"], name["many"]
    lines: list[str] = []
    titles: list[str] = []

    def part(what: str, found: Sequence[Firing], more: int, form: str = "") -> None:
        if not found and not more:
            return
        head = what.format(n=len(found) + more)
        head = says[form].format(what=head) if form else head
        lonely = found[0].subject.label if len(found) == 1 and not more else ""
        titles.append(f"{head}{says['colon']}{lonely}" if lonely else head)
        lines.extend(["", head] if lines else [head])
        lines.extend(_line(each, message, says) for each in found[:MAX_NAMED])
        if len(found) > MAX_NAMED:
            lines.append("- " + says["more"].format(n=len(found) - MAX_NAMED))
        if more:
            lines.append("- " + says["beyond"].format(n=more))

    new = len(message.fired) + message.more
    part(one if new == 1 else many, message.fired, message.more)
    part(one if len(message.still) == 1 else many, message.still, 0, "still")
    part(name["over"], message.cleared, 0, "clear")
    if message.firing > new + len(message.still):
        lines.append(says["firing"].format(n=message.firing))
    lines += ["", says["rule"].format(name=message.rule.name, zone=message.rule.zone or "UTC")]
    return says["semicolon"].join(titles), "\n".join(lines)


def test(name: str, language: str) -> tuple[str, str]:
    """The title and the text of a test of that receiver."""
    says = _texts(language)["says"]
    return says["test"], says["test_text"].format(name=name)


def _line(one: Firing, message: Message, says: Mapping[str, str]) -> str:
    subject = one.subject
    text = subject.label
    if subject.site and not text.startswith(subject.site):
        text += f" · {subject.site}"
    if subject.since is not None and one.cleared_at is None:
        here = datetime.fromtimestamp(subject.since, UTC).astimezone(
            zone_of(message.rule.zone or "UTC")
        )
        text += " · " + says["since"].format(at=f"{here:%Y-%m-%d %H:%M}")
    return f"- {text}"
