"""How often a board is drawn, and what that may cost."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import trio
from trio.testing import MockClock

from devgate.http.board import GAP_SECONDS, LATER_SECONDS, MAX_QUICK, QUICK_SECONDS
from devgate.http.boards import GATHER_SECONDS
from devgate.http.cpu_budget import DRAWINGS_SHARE, GLANCES_SHARE, MAX_PAUSE_SECONDS, CpuShare
from tests.http.boards import OWN, ROW, rig


async def test_what_can_wait_is_drawn_at_a_calm_pace(autojump_clock: MockClock) -> None:
    got: list[tuple[float, bytes]] = []
    async with rig() as (made, nursery):
        nursery.start_soon(made.look, got, 1000.0)
        for _ in range(350):
            await trio.sleep(0.1)
            made.happens()
    assert [round(at, 3) for at in made.picture.drawn] == [0.1, 10.1, 20.1, 30.1]


async def test_what_concerns_it_alone_is_drawn_at_once_but_not_for_ever(
    autojump_clock: MockClock,
) -> None:
    got: list[tuple[float, bytes]] = []
    async with rig() as (made, nursery):
        nursery.start_soon(made.look, got, 1000.0)
        for _ in range(1000):
            await trio.sleep(0.1)
            made.happens(OWN)
        await trio.sleep(QUICK_SECONDS)
    early = [at for at in made.picture.drawn if at < QUICK_SECONDS]
    assert early[0] == 0.1
    assert GAP_SECONDS <= early[1] - early[0] <= GAP_SECONDS + GATHER_SECONDS
    assert all(b - a >= GAP_SECONDS for a, b in pairwise(early))
    windows = Counter(int(at // QUICK_SECONDS) for at in made.picture.drawn)
    assert [windows[n] for n in range(3)] == [MAX_QUICK] * 3, "it never gives up"
    assert got[-1][1].endswith(b'"count":"1000"}\n\n')


async def test_dear_drawings_rest_and_are_overtaken_by_what_is_urgent(
    autojump_clock: MockClock,
) -> None:
    got: list[tuple[float, bytes]] = []
    async with rig(cost=0.1) as (made, nursery):
        nursery.start_soon(made.look, got, 1000.0)
        await trio.sleep(1.0)
        made.happens()
        await trio.sleep(1.0)
        made.happens()
        await trio.sleep(20.0)
        assert made.picture.drawn == [1.0], (
            f"a tenth of a second is rested from {0.1 * DRAWINGS_SHARE} s"
        )
        assert made.picture.glances == [11.0, 21.0], "what costs nothing is shown meanwhile"
        assert [text for _, text in got[1:]] == [b'event: parts\ndata: {"count":"about 2"}\n\n']
        made.happens(OWN)
        await trio.sleep(1.0)
        assert made.picture.drawn == [1.0, 22.0]
        assert got[-1][1] == b'event: parts\ndata: {"count":"3"}\n\n'


async def test_a_row_is_shown_within_a_second_and_the_whole_some_time(
    autojump_clock: MockClock,
) -> None:
    """A row does not wait for the next drawing of the whole list."""
    got: list[tuple[float, bytes]] = []
    async with rig() as (made, nursery):
        nursery.start_soon(made.look, got, 1000.0)
        await trio.sleep(1.0)
        made.happens(OWN)  # the first drawing
        await trio.sleep(1.0)
        made.picture.glimpsed = "list/a"
        for second in range(3, 8):
            await trio.sleep(1.0)
            made.happens(ROW)
            await trio.sleep(0.0)
            assert trio.current_time() == second
        await trio.sleep(1.0)
        shown = got[1:]
        assert [text for _, text in shown] == [
            b'event: parts\ndata: {"list/a":"about %d"}\n\n' % n for n in range(2, 7)
        ]
        assert all(at - second <= GATHER_SECONDS for second, (at, _) in enumerate(shown, 3))
        assert made.picture.drawn == [1.0]
        await trio.sleep(LATER_SECONDS)
    assert made.picture.drawn == [1.0, 11.0]
    whole = b'event: parts\ndata: {"still":"-","count":"6"}\n\n'
    assert got[-1] == (11.0, whole), "all of it: a row that was sent may differ from it"


async def test_glances_have_a_bound_of_their_own(autojump_clock: MockClock) -> None:
    async with rig() as (made, nursery):
        made.picture.glance_cost = 0.1
        for number in range(20):
            nursery.start_soon(made.look, [], 1000.0, str(number))
        await trio.sleep(1.0)
        made.happens(OWN)
        await trio.sleep(1.0)
        before = len(made.picture.glances)
        for _ in range(1000):
            await trio.sleep(0.1)
            made.happens(ROW)
    # The first of each board is not expected to cost anything.
    assert 10 < len(made.picture.glances) - before <= 20 + 100 / (0.1 * GLANCES_SHARE)


async def test_all_boards_share_what_can_be_spent(autojump_clock: MockClock) -> None:
    async with rig(cost=0.01) as (made, nursery):
        for number in range(20):
            nursery.start_soon(made.look, [], 1000.0, str(number))
        for _ in range(600):
            await trio.sleep(1.0)
            made.happens()
    # The first of each board is not expected to cost anything.
    max_drawings = 20 + 600 / (0.01 * DRAWINGS_SHARE)
    assert 0.72 * max_drawings < len(made.picture.drawn) <= max_drawings


def test_a_share_is_fair_and_learns() -> None:
    share = CpuShare()
    assert [share.turn(10.0, 0.01), share.turn(10.0, 0.01)] == [10.0, 10.0 + 0.01 * DRAWINGS_SHARE]
    share.measured(0.01, 0.02)
    assert share.turn(10.0, 0.0) == 10.0 + 0.03 * DRAWINGS_SHARE
    share.measured(0.0, 1000.0)
    assert share.turn(10.0, 0.0) == 10.0 + 0.03 * DRAWINGS_SHARE + MAX_PAUSE_SECONDS, (
        "nobody waits for ever"
    )
