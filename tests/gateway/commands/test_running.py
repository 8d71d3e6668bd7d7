"""What devices are known to do, and until when."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from devgate.gateway.command import Command
from devgate.gateway.details import ended
from tests.gateway.clocks import EPOCH
from tests.gateway.rig import TIMES, Rig, X, Y, order


def outcome(status: str, type: str = "start", long: int = 500, imei: str = X) -> Command:
    more = {"long": long} if type == "start" else {}
    command = Command("1", order(type, imei, **more), EPOCH)  # type: ignore[arg-type]
    command.ends(status, EPOCH)
    return command


def now() -> float:
    return EPOCH + trio.current_time()


async def test_a_confirmed_start_runs_for_its_time(rig: Rig, autojump_clock: MockClock) -> None:
    assert rig.running.until(X) is None
    rig.running.note_outcome(outcome("200"), now())
    assert rig.running.until(X) == EPOCH + 500
    await trio.sleep(499)
    assert rig.running.imeis() == [X]
    await trio.sleep(1)
    assert rig.running.until(X) is None
    assert rig.running.imeis() == []


async def test_only_a_confirmation_changes_anything(rig: Rig, autojump_clock: MockClock) -> None:
    for status in ("201", "202", "404", "408", "410"):
        rig.running.note_outcome(outcome(status), now())
    assert rig.running.until(X) is None
    rig.running.note_outcome(outcome("200"), now())
    for status in ("201", "202", "408"):
        rig.running.note_outcome(outcome(status, "stop"), now())
    assert rig.running.until(X) == EPOCH + 500


async def test_a_second_start_adds_to_the_time(rig: Rig, autojump_clock: MockClock) -> None:
    rig.running.note_outcome(outcome("200"), now())
    await trio.sleep(100)
    rig.running.note_outcome(outcome("200", long=50), now())
    assert rig.running.until(X) == EPOCH + 550
    await trio.sleep(1000)
    rig.running.note_outcome(outcome("200", long=50), now())
    assert rig.running.until(X) == EPOCH + 1150, "the first had long ended"


async def test_a_stop_ends_it(rig: Rig, autojump_clock: MockClock) -> None:
    rig.running.note_outcome(outcome("200"), now())
    rig.running.note_outcome(outcome("200", imei=Y), now())
    rig.running.note_outcome(outcome("200", "stop"), now())
    assert rig.running.until(X) is None
    assert rig.running.imeis() == [Y]


async def test_who_counts_times_has_no_end(rig: Rig, autojump_clock: MockClock) -> None:
    rig.running.note_outcome(outcome("200", imei=TIMES, long=5), now())
    assert rig.running.until(TIMES) is None


async def test_a_restart_does_not_forget(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    for id, command in enumerate(
        (outcome("200"), outcome("200", imei=Y), outcome("200", "stop", imei=Y)), 1
    ):
        command.id = str(id)
        more = rig.running.note_outcome(command, now())
        rig.records.post_event(command, ended, now(), more=more)
    await rig.records.flushed()
    again = Rig(rig.database)
    async with again.lives():
        assert again.running.imeis() == [X]
        assert again.running.until(X) == EPOCH + 500
