"""Tasks beside the service: an error is logged once, retried, and seen in the status."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock

from devgate.errors import StoreError
from devgate.gateway.background import MAX_RETRY_SECONDS, Background, in_a_line


async def test_a_fault_is_told_once_and_tried_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    background, times = Background(), list[float]()
    faults: list[Exception] = [
        RuntimeError("can't start new thread"), RuntimeError("can't start new thread"),
        MemoryError(), StoreError("the database is locked"), StoreError("the database is locked"),
    ]  # fmt: skip

    async def work() -> None:
        times.append(trio.current_time())
        if len(times) <= len(faults):
            raise faults[len(times) - 1]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(background.until_done, "refresh", work)
        await trio.sleep(0.5)
        assert background.states == {"refresh": "RuntimeError: can't start new thread"}
        await trio.sleep(20)
        assert background.states == {"refresh": "the database is locked"}
    assert background.states == {"refresh": "ok"}
    assert times == [0, 1, 3, 7, 15, 31]
    crashed = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert len(crashed) == 2, "one for each distinct fault"
    assert all(r.exc_info for r in crashed)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warnings == [
        "background task fails task=refresh error=the database is locked",
        "background task works again task=refresh",
    ]


async def test_the_pause_is_bounded(autojump_clock: MockClock) -> None:
    times: list[float] = []

    async def work() -> None:
        times.append(trio.current_time())
        if len(times) < 12:
            raise OSError("no")

    await Background().until_done("keys", work)
    assert times[-1] - times[-2] == MAX_RETRY_SECONDS


def test_a_sentence_is_one_line_and_holds_no_statement() -> None:
    assert in_a_line(ValueError("permission denied\n[SQL: SELECT secret]")) == (
        "ValueError: permission denied"
    )
    assert in_a_line(MemoryError()) == "MemoryError"
    assert len(in_a_line(ValueError("x" * 9999))) < 300
