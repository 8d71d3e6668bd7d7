"""What messages say, in both languages."""

from __future__ import annotations

from pathlib import Path
from string import Formatter

import pytest
import tomli

from devgate.alerts import wording
from devgate.alerts.engine import Subject, Watch
from devgate.alerts.rule import KINDS, Rule

NOON = 1_764_072_000.0
AWAY = Rule("away", "offline", ("ops",), minutes=15, zone="Asia/Shanghai", repeat=60)


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_say_the_same() -> None:
    folder = Path(wording.__file__).parent
    en, zh = (tomli.loads((folder / f"{one}.toml").read_text()) for one in wording.LANGUAGES)
    assert set(en) == set(zh) == {*KINDS, "says"}
    for part, texts in en.items():
        assert set(texts) == set(zh[part])
        for name, text in texts.items():
            assert fields(text) == fields(zh[part][name]), (part, name)


def test_one_machine() -> None:
    watch = Watch(AWAY)
    watch.found([Subject("1", "Chair 16", "Mall North", NOON - 900)], NOON)
    message = watch.message(NOON)
    assert message is not None
    assert wording.words(message, "en") == (
        "Machine offline: Chair 16",
        "Machine offline\n- Chair 16 · Mall North · since 2025-11-25 19:45\n\n"
        "Rule away, times in Asia/Shanghai",
    )
    title, text = wording.words(message, "zh")
    assert title == "设备离线\uff1aChair 16"
    assert "2025-11-25 19:45" in text


def test_many_machines_and_those_that_are_back() -> None:
    watch = Watch(AWAY)
    watch.found([Subject(str(n), f"Chair {n}") for n in range(3)], NOON)
    first = watch.message(NOON)
    assert first is not None
    watch.delivered(first, NOON)
    watch.clear(["0"], NOON + 60)
    watch.found([Subject(str(n), f"Chair {n}") for n in range(10, 40)], NOON + 60)
    second = watch.message(NOON + 3600)
    assert second is not None
    title, text = wording.words(second, "en")
    assert title == (
        "30 machines offline; Still: 2 machines offline; All clear: Online again: Chair 0"
    )
    lines = text.splitlines()
    assert lines[0] == "30 machines offline"
    assert lines[wording.MAX_NAMED + 1] == f"- and {30 - wording.MAX_NAMED} more"
    assert lines[wording.MAX_NAMED + 3 :][:3] == [
        "Still: 2 machines offline", "- Chair 1", "- Chair 2",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", wording.LANGUAGES)
def test_every_kind_has_words(kind: str, language: str) -> None:
    watch = Watch(Rule("r", kind, ("ops",)))
    watch.state([Subject("a", "A", "S"), Subject("b", "B")], NOON)
    message = watch.message(NOON)
    assert message is not None
    title, text = wording.words(message, language)
    assert "- A · S\n- B\n" in text
    assert "{" not in title + text
