"""Who draws what, when, and for whom: by the clock, without a browser."""

from __future__ import annotations

from collections.abc import Mapping

import trio
from trio.testing import MockClock

from devgate.http.board import LATER_SECONDS
from devgate.http.boards import STATE_SECONDS
from tests.http.boards import PULSE, rig


async def test_one_drawing_is_for_all_who_see_the_same(autojump_clock: MockClock) -> None:
    got: list[list[tuple[float, bytes]]] = [[] for _ in range(20)]
    async with rig() as (made, nursery):
        for one in got:
            nursery.start_soon(made.look, one, 50.0)
        await trio.sleep(1.0)
        made.happens()
        await trio.sleep(20.0)
        made.happens()
        await trio.sleep(5.0)
    assert made.picture.drawn == [1.0, 21.0]
    whole = b'event: parts\ndata: {"still":"-","count":"1"}\n\n'
    assert got[0] == [(1.0, whole), (21.0, b'event: parts\ndata: {"count":"2"}\n\n')]
    for one in got:
        assert [text for _, text in one] == [text for _, text in got[0]]
        assert all(a is b for (_, a), (_, b) in zip(one, got[0], strict=True)), "the same bytes"


async def test_nothing_is_drawn_while_nobody_looks(autojump_clock: MockClock) -> None:
    got: list[tuple[float, bytes]] = []
    async with rig() as (made, nursery):
        made.happens()
        await trio.sleep(100.0)
        assert made.log.readers == 0
        nursery.start_soon(made.look, got, 110.0)
        await trio.sleep(5.0)
        assert made.log.readers == 1
        await trio.sleep(50.0)
        made.happens(times=5)
        await trio.sleep(500.0)
        assert made.log.readers == 0
    assert made.picture.drawn == []


async def test_nothing_is_sent_when_nothing_changed(autojump_clock: MockClock) -> None:
    got: list[tuple[float, bytes]] = []
    async with rig() as (made, nursery):
        made.picture.parts = {"a": "b"}
        nursery.start_soon(made.look, got, 1000.0)
        await trio.sleep(2.0)
        for _ in range(3):
            made.happens()
            await trio.sleep(150.0)
    assert made.picture.drawn[:4] == [2.0, 62.0, 122.0, 152.0], "and once in a pulse"
    assert len(got) == 1


async def test_the_state_of_the_database_is_shown_though_it_makes_no_event(
    autojump_clock: MockClock,
) -> None:
    got: list[tuple[float, bytes]] = []
    async with rig() as (made, nursery):
        nursery.start_soon(made.look, got, 1000.0)
        await trio.sleep(0.5)
        made.happens()
        await trio.sleep(5.0)
        made.state = "away"
        await trio.sleep(5.0)
        assert made.picture.drawn == [0.5]
        assert 3 <= len(made.picture.glances) <= 5 / STATE_SECONDS
        made.state = "ok"
        await trio.sleep(LATER_SECONDS)
        glances = len(made.picture.glances)
        await trio.sleep(PULSE / 2)
        assert len(made.picture.glances) == glances, "all is well: nothing is looked at"
    assert made.picture.drawn[1] <= 0.5 + LATER_SECONDS + STATE_SECONDS, (
        "what was missed is read again"
    )


async def test_a_page_on_which_nothing_has_happened_shows_that_the_database_is_away(
    autojump_clock: MockClock,
) -> None:
    """It is drawn for that: there is no drawing yet for a glance, and the next pulse may be
    far."""
    got: list[tuple[float, bytes]] = []
    async with rig() as (made, nursery):
        nursery.start_soon(made.look, got, 1000.0)
        await trio.sleep(0.5)
        made.state = "away"
        await trio.sleep(2 * STATE_SECONDS)
        assert len(made.picture.drawn) == 1
        assert got
        await trio.sleep(PULSE / 2)
        assert len(made.picture.drawn) == 1, "from then on a glance is enough"


async def test_who_comes_later_is_told_what_it_missed(autojump_clock: MockClock) -> None:
    first: list[tuple[float, bytes]] = []
    late: list[tuple[float, bytes]] = []
    fresh: list[tuple[float, bytes]] = []
    async with rig() as (made, nursery):
        nursery.start_soon(made.look, first, 1000.0)
        await trio.sleep(1.0)
        made.happens()
        await trio.sleep(1.0)
        nursery.start_soon(made.look, late, 1000.0, "a", 0)
        nursery.start_soon(made.look, fresh, 1000.0)
        await trio.sleep(1.0)
        assert made.picture.drawn == [1.0], "a drawing that knows all there is serves them, too"
        assert late == fresh == [(2.0, first[0][1])]
        made.happens()
        nursery.start_soon(made.look, fresh, 1000.0, "a", made.log.last)
        await trio.sleep(20.0)
    assert made.picture.drawn == [1.0, 11.0]


async def test_who_missed_something_on_the_way_gets_a_drawing(autojump_clock: MockClock) -> None:
    got: list[tuple[float, bytes]] = []
    async with rig() as (made, nursery):
        made.happens()
        nursery.start_soon(made.look, got, 1000.0, "a", 0)
        await trio.sleep(1.0)
    assert made.picture.drawn == [0.0]
    assert len(got) == 1


async def test_a_board_that_cannot_be_drawn_ends_alone(autojump_clock: MockClock) -> None:
    got: list[tuple[float, bytes]] = []

    async def broken(whole: bool) -> Mapping[str, str] | None:
        raise ZeroDivisionError

    async def look() -> None:
        with made.boards.looking("b", broken, made.concern, PULSE) as board:
            assert await board.join(0).news() == b""
            assert board.over
            over.set()

    over = trio.Event()
    async with rig() as (made, nursery):
        made.happens()
        nursery.start_soon(made.look, got, 1000.0)
        nursery.start_soon(look)
        await over.wait()
        made.happens()
        await trio.sleep(1.0)
    assert len(got) == 1


async def test_all_boards_end_with_the_gateway(autojump_clock: MockClock) -> None:
    async with rig() as (made, nursery):
        nursery.start_soon(made.look, [], 1000.0)
        await trio.sleep(1.0)
        made.stopping.set()
        await trio.testing.wait_all_tasks_blocked()
        await made.look([], 1000.0)
    assert trio.current_time() == 1.0
