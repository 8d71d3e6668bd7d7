"""In order per device, devices side by side, and a position that never runs ahead."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devgate.events.kinds import Event
from devgate.webhooks import window as windows
from devgate.webhooks.window import Window
from tests.webhooks.conftest import event


def filled(*imeis: str | None) -> Window:
    window = Window(0)
    for n, imei in enumerate(imeis, 1):
        window.add(event(n, imei))
    return window


def goes(window: Window, now: float = 0.0) -> Event:
    found = window.next(now)
    assert found is not None
    return found


def test_only_the_first_of_a_device_may_go() -> None:
    window = filled("a", "a", "b", None, None)
    assert [goes(window).n, goes(window).n, goes(window).n] == [1, 3, 4]
    assert window.next(0.0) is None
    assert window.next_time(0.0) == math.inf
    window.delivered(event(1, "a"))
    assert goes(window).n == 2


def test_the_position_is_in_front_of_the_oldest_that_was_not_taken() -> None:
    window = filled("a", "b", "b")
    window.skip(event(4, "a"))
    assert window.position == 0
    for _ in range(2):
        goes(window)
    window.delivered(event(2, "b"))
    assert window.position == 0
    window.delivered(event(1, "a"))
    assert window.position == 2
    goes(window)
    window.delivered(event(3, "b"))
    assert window.position == 4, "what the target does not get holds nothing up"


def test_a_failing_device_rests_and_the_others_go_on() -> None:
    window = filled("a", "b", "b")
    first = goes(window)
    assert window.failed(first) == 1
    window.rests(first, 10.0)
    window.delivered(goes(window))
    window.delivered(goes(window))
    assert window.next(9.9) is None
    assert window.next_time(9.9) == 10.0
    assert (window.position, window.tries) == (0, 1)
    assert goes(window, 10.0) is first
    window.delivered(first)
    assert (window.position, window.tries, len(window)) == (3, 0, 0)


def test_the_oldest_goes_first_also_after_a_rest() -> None:
    window = filled("a", "b")
    first = goes(window)
    window.failed(first)
    window.rests(first, 1.0)
    assert goes(window, 1.0).n == 1


def test_all_may_go_once_the_receiver_is_well() -> None:
    window = filled("a")
    window.rests(goes(window), 100.0)
    window.wake()
    assert goes(window).n == 1


def test_it_holds_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    window = filled(*["a"] * (windows.MAX_PENDING - 1))
    assert not window.full
    window.add(event(windows.MAX_PENDING, "b"))
    assert window.full
    monkeypatch.setattr(windows, "MAX_AHEAD", 3)
    window = filled("a", "b", "c")
    assert window.full, "one that fails for long lets the reading run only so far ahead"


def test_what_lies_between_its_types_moves_the_position_on_and_counts_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(windows, "MAX_AHEAD", 3)
    window = Window(0)
    window.add(event(10, "a"))
    window.passes(1000)
    assert (window.read, window.position, window.full) == (1000, 9, False)
    window.passes(500)
    assert window.read == 1000, "never back"
    window.delivered(goes(window))
    assert window.position == 1000


steps = st.lists(
    st.tuples(st.sampled_from(["read", "skip", "go", "delivered", "failed"]), st.integers(0, 9)),
    max_size=80,
)


@given(steps)
def test_whatever_happens_each_device_gets_its_events_in_order(
    steps: list[tuple[str, int]],
) -> None:
    window, under_way, now, number = Window(0), list[Event](), 0.0, 0
    due: dict[str, list[int]] = {}
    done: set[int] = set()
    for step, pick in steps:
        now += 1.0
        if step == "read":
            number += 1
            window.add(event(number, str(pick % 3)))
            due.setdefault(str(pick % 3), []).append(number)
        elif step == "skip":
            number += 1
            window.skip(event(number))
            done.add(number)
        elif step == "go" and (found := window.next(now)) is not None:
            assert found.imei is not None
            assert due[found.imei][0] == found.n
            assert found.imei not in [e.imei for e in under_way]
            under_way.append(found)
        elif under_way:
            ended = under_way.pop(pick % len(under_way))
            if step == "delivered":
                window.delivered(ended)
                due[str(ended.imei)].pop(0)
                done.add(ended.n)
            else:
                window.failed(ended)
                window.rests(ended, now + pick)
        assert window.position == next(
            (n - 1 for n in range(1, number + 1) if n not in done), number
        )
    while (found := window.next(math.inf)) or under_way:
        ended = found or under_way.pop()
        window.delivered(ended)
        due[str(ended.imei)].remove(ended.n)
    assert not any(due.values())
    assert window.position == number
