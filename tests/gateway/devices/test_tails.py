"""When a tail has waited long enough."""

from __future__ import annotations

import math

import trio
from trio.testing import MockClock

from devgate.gateway.devices.tails import Tails
from devgate.protocol.decoder import Decoder


def test_tails_are_due_in_the_order_of_their_last_bytes() -> None:
    tails: Tails[str] = Tails(1.0)
    tails.waits("a", 0.0)
    tails.waits("b", 0.2)
    tails.waits("a", 0.5)
    assert tails.next_deadline() == 1.2
    assert list(tails.due(1.1)) == []
    assert list(tails.due(1.2)) == ["b"]
    assert list(tails.due(9.0)) == ["a"]
    assert tails.next_deadline() == math.inf


def test_one_that_is_done_is_not_due() -> None:
    tails: Tails[str] = Tails(1.0)
    tails.waits("a", 0.0)
    tails.done("a")
    tails.done("nobody")
    assert "a" not in tails
    assert len(tails) == 0
    assert list(tails.due(9.0)) == []


def test_one_that_waits_again_while_others_are_taken() -> None:
    tails: Tails[str] = Tails(1.0)
    tails.waits("a", 0.0)
    tails.waits("b", 0.1)
    due = []
    for name in tails.due(1.1):
        if name not in due:
            tails.waits(name, 1.1)
        due.append(name)
    assert due == ["a", "b"]
    assert len(tails) == 2


async def test_a_tail_is_judged_on_time(autojump_clock: MockClock) -> None:
    tails: Tails[Decoder] = Tails(1.0)
    decoder = Decoder()
    assert decoder.feed(b"1") == []
    tails.waits(decoder, trio.current_time())
    await trio.sleep_until(tails.next_deadline())
    assert trio.current_time() == 1.0
    assert [len(d.expire()) for d in tails.due(trio.current_time())] == [1]
