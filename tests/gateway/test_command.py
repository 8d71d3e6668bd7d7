"""Who is called back when a command is settled, and when."""

from __future__ import annotations

import pytest

from devgate.gateway.command import Command, Order
from tests.gateway.rig import X


@pytest.fixture
def command() -> Command:
    return Command("1", Order(X, "start", 500), 0.0)


@pytest.fixture
def called(command: Command) -> list[str]:
    """Who was called: two that wait for the outcome, and one that does not."""
    called: list[str] = []
    command.on_settled(True, lambda _: called.append("first"))
    command.on_settled(False, lambda _: called.append("accepted"))
    command.on_settled(True, lambda _: called.append("second"))
    return called


def test_each_is_called_once_when_its_time_comes(command: Command, called: list[str]) -> None:
    command.set_recorded()
    command.set_recorded()
    assert called == ["accepted"]
    command.set_done()
    command.set_done()
    assert called == ["accepted", "first", "second"]


def test_nobody_hears_of_one_that_is_kept_before_it_is_on_disk(
    command: Command, called: list[str]
) -> None:
    command.set_done()
    assert called == []
    command.set_recorded()
    assert sorted(called) == ["accepted", "first", "second"]


def test_who_comes_later_is_called_at_once(command: Command) -> None:
    called: list[Command] = []
    command.set_recorded()
    command.on_settled(False, called.append)
    assert called == [command]
    command.set_done()
    command.on_settled(True, called.append)
    assert called == [command, command]


def test_a_callback_may_ask_for_another(command: Command) -> None:
    called: list[Command] = []
    command.on_settled(False, lambda one: one.on_settled(False, called.append))
    command.set_recorded()
    assert called == [command]


def test_an_end_that_is_not_on_disk_is_told_to_nobody(command: Command, called: list[str]) -> None:
    """It ended while it was journalled as accepted. Who does not wait was told that nothing was
    sent, and another node sent it: found by scripts/jepsen."""
    command.ends("404", 1.0)
    command.set_recorded()
    command.on_settled(False, lambda _: called.append("later"))
    assert called == []
    command.set_done()
    assert sorted(called) == ["accepted", "first", "later", "second"]
