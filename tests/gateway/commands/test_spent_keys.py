"""Keys that were spent in this run, and their bounds."""

from __future__ import annotations

import pytest

from devgate.errors import Unknown
from devgate.gateway.command import Command, Order
from devgate.gateway.commands import spent_keys
from devgate.gateway.commands.spent_keys import SpentKeys
from devgate.model import Imei


def command(key: str) -> Command:
    return Command(key, Order(Imei("1" * 15), "start", 5, key), 0.0)


def test_f6_the_newest_have_their_command_and_older_ones_are_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """F6: never a new order for a key that was spent here."""
    monkeypatch.setattr(spent_keys, "MAX_COMMANDS", 2)
    monkeypatch.setattr(spent_keys, "MAX_KEYS", 2)
    keys = SpentKeys()
    for number in range(5):
        keys.note(str(number), command(str(number)))
    for number in (3, 4):
        found = keys.find(str(number), 60)
        assert found is not None
        assert found.id == str(number)
    for number in (1, 2):
        with pytest.raises(Unknown) as unknown:
            keys.find(str(number), 60)
        assert (unknown.value.status, unknown.value.outcome) == ("408", "unknown")
    assert keys.find("0", 60) is None, "the bound"


def test_f6_a_key_that_is_free_again_is_not_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = SpentKeys()
    refused = command("a")
    keys.note("a", refused)
    refused.ends("404", 0.0)
    assert keys.find("a", 60) is None
    keys.note("b", command("b"))
    assert keys.find("b", 0.0) is None, "[command] keep_keys is over"
    monkeypatch.setattr(spent_keys, "MAX_AGE_SECONDS", -1.0)
    assert keys.find("b", 60) is None


def test_a_key_is_not_spent_because_the_machine_was_booted_a_minute_ago(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """time.monotonic() counts from the boot: an hour ago is a negative time then."""
    monkeypatch.setattr(spent_keys, "monotonic", lambda: 60.0)
    keys = SpentKeys()
    assert keys.find("new", 86_400) is None
    keys.note("a", command("a"))
    found = keys.find("a", 86_400)
    assert found is not None
    assert found.id == "a"
