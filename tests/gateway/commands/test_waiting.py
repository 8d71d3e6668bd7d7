"""The order of one device's waiting commands."""

from __future__ import annotations

from itertools import count

import pytest

from devgate.gateway.command import Command
from devgate.gateway.commands.waiting import Waiting
from tests.gateway.rig import order

numbers = count()


def waiting(type: str = "start", until: float = 100.0, expires: float | None = None) -> Command:
    command = Command(f"{next(numbers):026}", order(type, expires=expires), 0.0)
    command.until = until
    return command


@pytest.fixture
def queue() -> Waiting:
    return Waiting()


def popped(queue: Waiting) -> list[Command]:
    return [queue.pop(0) for _ in range(len(queue))]


def test_stops_go_ahead_of_starts_each_in_their_order(queue: Waiting) -> None:
    a, b, c, d = waiting(), waiting("stop"), waiting(), waiting("stop")
    for command in (a, b, c, d):
        queue.push(command)
    assert list(queue) == [b, d, a, c]
    assert popped(queue) == [b, d, a, c]
    assert queue == []


def test_one_that_did_not_go_out_is_the_next_again(queue: Waiting) -> None:
    a, b, stop = waiting(), waiting(), waiting("stop")
    queue.push(a)
    queue.push(b)
    assert queue.pop(0) is a
    queue.push(stop)
    queue.push_back(a)
    assert popped(queue) == [stop, a, b]


def test_what_does_not_wait_cannot_be_taken_out(queue: Waiting) -> None:
    a, b = waiting(), waiting("stop")
    queue.push(a)
    assert not queue.withdraw(b)
    assert queue.withdraw(a)
    assert not queue.withdraw(a)
    assert len(queue) == 0


def test_whose_time_has_passed(queue: Waiting) -> None:
    a, b, c = waiting(until=5), waiting("stop", until=7), waiting(until=9)
    for command in (a, b, c):
        queue.push(command)
    assert queue.overdue(4.9) == []
    assert queue.overdue(7) == [b, a]
    assert list(queue) == [c]
    assert queue.overdue(99) == [c]


def test_who_does_not_wait_for_a_device_to_come_back(queue: Waiting) -> None:
    a, deferred, stop = waiting(), waiting(expires=60), waiting("stop")
    for command in (a, deferred, stop):
        queue.push(command)
    assert queue.undeferred() == [stop, a]
    assert list(queue) == [deferred]


def test_all_starts_and_no_stop(queue: Waiting) -> None:
    a, stop, b = waiting(), waiting("stop"), waiting(expires=9)
    for command in (a, stop, b):
        queue.push(command)
    assert queue.starts() == [a, b]
    assert list(queue) == [stop]
