"""Who draws what, when, and for whom: by the clock, without a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Set
from contextlib import asynccontextmanager
from itertools import pairwise

import trio
from trio.testing import MockClock

from devgate.events.kinds import Event
from devgate.events.log import EventLog, Page
from devgate.http.board import BURST, CALM, GAP, WITHIN, Board, Concern
from devgate.http.boards import GATHER, STATE, Boards
from devgate.http.cpu_budget import GLANCES, LONGEST, SHARE, Share

PULSE = 60.0
OWN, OTHER, ROW = "860000000000001", "860000000000002", "860000000000003"


class Picture:
    """What a board shows here: how many events it was about, or what is set."""

    def __init__(self, seen: Callable[[], int], cost: float = 0.0) -> None:
        self.drawn: list[float] = []  # when
        self.glances: list[float] = []  # likewise, only what costs nothing
        self.spent = 0.0
        self.parts: dict[str, str] = {}
        self.glimpsed = "count"  # the part that costs nothing
        self.glance_cost = 0.0
        self._seen, self._cost = seen, cost

    async def draw(self, whole: bool) -> Mapping[str, str] | None:
        if not whole:
            self.glances.append(trio.current_time())
            self.spent += self.glance_cost
            return {self.glimpsed: f"about {self._seen()}"}
        self.drawn.append(trio.current_time())
        self.spent += self._cost
        return self.parts or {"still": "-", "count": str(self._seen())}


class Rig:
    def __init__(self, cost: float = 0.0) -> None:
        self.log = EventLog(0, self._none)
        self.stopping = trio.Event()
        self.picture = Picture(lambda: self.log.last, cost)
        self.state = "ok"
        self.boards = Boards(
            self.log, self.stopping, lambda: self.picture.spent, lambda: self.state
        )

    @staticmethod
    async def _none(after: int, until: int, limit: int, types: Set[str]) -> Page:
        return Page((), after + 1, after)

    def happens(self, imei: str = OTHER, times: int = 1) -> None:
        first = self.log.last + 1
        events = [Event(0.0, "device.online", imei, None, "{}", first + n) for n in range(times)]
        self.log.publish(events)

    @staticmethod
    def concern(event: Event) -> Concern:
        return {OWN: Concern.AT_ONCE, ROW: Concern.ROW}.get(str(event.imei), Concern.CALM)

    async def look(
        self, got: list[tuple[float, bytes]], until: float, key: str = "a", seen: int | None = None
    ) -> None:
        """Look until then, as a page's stream does."""
        seen = self.log.last if seen is None else seen
        with (
            trio.move_on_at(until),
            self.boards.looking(key, self.picture.draw, self.concern, PULSE) as board,
        ):
            await self._next(board, seen, got)

    @staticmethod
    async def _next(board: Board, seen: int, got: list[tuple[float, bytes]]) -> None:
        viewer = board.join(seen)
        while not board.over:
            if text := await viewer.news():
                got.append((trio.current_time(), text))


@asynccontextmanager
async def rig(cost: float = 0.0) -> AsyncIterator[tuple[Rig, trio.Nursery]]:
    made = Rig(cost)
    async with trio.open_nursery() as nursery:
        await nursery.start(made.boards.run)
        yield made, nursery
        nursery.cancel_scope.cancel()


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
        await trio.sleep(WITHIN)
    early = [at for at in made.picture.drawn if at < WITHIN]
    assert early[0] == 0.1
    assert GAP <= early[1] - early[0] <= GAP + GATHER
    assert all(b - a >= GAP for a, b in pairwise(early))
    assert len(early) <= BURST + WITHIN / CALM
    assert len(made.picture.drawn) <= (BURST + WITHIN / CALM) * (1 + 100 / WITHIN)
    assert got[-1][1].endswith(b'"count":"1000"}\n\n'), "it never gives up"


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
        assert made.picture.drawn == [1.0], f"a tenth of a second is rested from {0.1 * SHARE} s"
        assert made.picture.glances == [11.0, 21.0], "what costs nothing is shown meanwhile"
        assert [text for _, text in got[1:]] == [b'event: parts\ndata: {"count":"about 2"}\n\n']
        made.happens(OWN)
        await trio.sleep(1.0)
        assert made.picture.drawn == [1.0, 22.0]
        assert got[-1][1] == b'event: parts\ndata: {"count":"3"}\n\n'


async def test_a_row_is_shown_within_a_second_and_the_whole_some_time(
    autojump_clock: MockClock,
) -> None:
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
        assert all(at - second <= GATHER for second, (at, _) in enumerate(shown, 3))
        assert made.picture.drawn == [1.0]
        await trio.sleep(CALM)
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
    assert 10 < len(made.picture.glances) - before <= 20 + 100 / (0.1 * GLANCES)


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
        assert 3 <= len(made.picture.glances) <= 5 / STATE
        made.state = "ok"
        await trio.sleep(CALM)
        glances = len(made.picture.glances)
        await trio.sleep(PULSE / 2)
        assert len(made.picture.glances) == glances, "all is well: nothing is looked at"
    assert made.picture.drawn[1] <= 0.5 + CALM + STATE, "what was missed is read again"


async def test_all_boards_share_what_can_be_spent(autojump_clock: MockClock) -> None:
    async with rig(cost=0.01) as (made, nursery):
        for number in range(20):
            nursery.start_soon(made.look, [], 1000.0, str(number))
        for _ in range(600):
            await trio.sleep(1.0)
            made.happens()
    # The first of each board is not expected to cost anything.
    most = 20 + 600 / (0.01 * SHARE)
    assert 0.72 * most < len(made.picture.drawn) <= most


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


def test_a_share_is_fair_and_learns() -> None:
    share = Share()
    assert [share.turn(10.0, 0.01), share.turn(10.0, 0.01)] == [10.0, 10.0 + 0.01 * SHARE]
    share.measured(0.01, 0.02)
    assert share.turn(10.0, 0.0) == 10.0 + 0.03 * SHARE
    share.measured(0.0, 1000.0)
    assert share.turn(10.0, 0.0) == 10.0 + 0.03 * SHARE + LONGEST, "nobody waits for ever"
