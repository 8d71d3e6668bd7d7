"""Letters of one receiver: in order, tried again, and given up. The clock jumps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from devgate.alerts.courier import Letter, SendResult
from devgate.alerts.mailbox import MAX_WAITING, RETRY_SECONDS, Mailbox

OK, NO = SendResult(True, "taken"), SendResult(False, "no")


class Far:
    """The far end: answers as `answers` say, and then well."""

    def __init__(self, *answers: SendResult) -> None:
        self.answers = list(answers)
        self.at: list[float] = []
        self.slow: list[bool] = []
        self.tried: list[tuple[str, bool, int, bool]] = []
        self.settled: list[str] = []
        self.box = Mailbox(self._send, self._tried)

    async def _send(self, letter: Letter, slow: bool) -> SendResult:
        await trio.lowlevel.checkpoint()
        self.at.append(trio.current_time())
        self.slow.append(slow)
        return self.answers.pop(0) if self.answers else OK

    def _tried(self, letter: Letter, result: SendResult, tries: int, last: bool) -> None:
        self.tried.append((letter.id, result.ok, tries, last))

    def put(self, *ids: str) -> None:
        for id in ids:
            self.box.put(Letter(id, "fired", "t", "b"), partial(self.settled.append, id))

    @asynccontextmanager
    async def runs(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.box.run)
            yield
            nursery.cancel_scope.cancel()


async def test_in_order_and_each_is_settled() -> None:
    far = Far()
    async with far.runs():
        far.put("a", "b")
        await wait_all_tasks_blocked()
        far.put("c")
        await wait_all_tasks_blocked()
    assert far.tried == [(id, True, 1, True) for id in "abc"]
    assert far.settled == ["a", "b", "c"]


async def test_it_is_tried_again_and_given_up(autojump_clock: MockClock) -> None:
    far = Far(*[NO] * (len(RETRY_SECONDS) + 1))
    async with far.runs():
        far.put("a")
        await trio.sleep(sum(RETRY_SECONDS) + 1)
    begins = [sum(RETRY_SECONDS[:n]) for n in range(len(RETRY_SECONDS) + 1)]
    assert far.at == begins
    assert far.tried == [
        ("a", False, n + 1, n == len(RETRY_SECONDS)) for n in range(len(RETRY_SECONDS) + 1)
    ]
    assert far.settled == ["a"]
    assert (far.box.failures, far.box.error) == (len(RETRY_SECONDS) + 1, "no")


async def test_what_comes_meanwhile_ends_the_pause(autojump_clock: MockClock) -> None:
    far = Far(NO)
    async with far.runs():
        far.put("a")
        await trio.sleep(5)
        far.put("b")
        await wait_all_tasks_blocked()
        assert far.settled == ["a", "b"]
    assert far.at == [0, 5, 5]
    assert far.box.failures == 0


async def test_who_was_too_slow_is_sent_to_as_such(autojump_clock: MockClock) -> None:
    far = Far(SendResult(False, "slow", slow=True))
    async with far.runs():
        far.put("a")
        await trio.sleep(sum(RETRY_SECONDS))
    assert far.slow == [False, True]


async def test_the_newest_push_out_the_oldest() -> None:
    far = Far()
    ids = [str(number) for number in range(MAX_WAITING + 3)]
    far.put(*ids)
    assert far.tried == [(id, False, 0, True) for id in ids[:3]]
    assert far.settled == ids[:3]
    far.box.close()
    assert far.settled == ids
