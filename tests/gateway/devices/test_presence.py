"""Who is online: the log of it strictly alternates for every device."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from devgate.gateway.devices.connection import Connection
from devgate.gateway.devices.presence import Presence, heard
from devgate.gateway.devices.registry import Flapping
from devgate.net.link import Link
from devgate.store import history
from devgate.store.engine import Database
from tests.gateway.clocks import EPOCH, follow_trios_clock
from tests.gateway.rig import Rig, X, Y, emptied


class Nobody:
    """Keeps no connections: these here have no task."""

    relayed = False

    def began(self, connection: Connection) -> None:
        raise NotImplementedError

    ended = began


def connection(imei: str | None = X, address: str = "1.2.3.4:5") -> Connection:
    made = Connection(Link(-1, address), Nobody(), trio.current_time())
    made.session.imei = imei  # type: ignore[assignment]
    return made


def made(rig: Rig) -> Presence:
    return Presence(rig.records, Flapping(3, 60))


def register(presence: Presence, one: Connection) -> Connection | None:
    imei = one.session.imei
    assert imei is not None
    return presence.registered(imei, one, trio.current_time())


async def row(rig: Rig) -> history.Record:
    await rig.records.flushed()
    with rig.database.read() as conn:
        return history.presence_of(conn, [X])[X]


async def test_online_and_offline(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    presence, one = made(rig), connection()
    assert register(presence, one) is None
    assert presence.get(X) is one
    assert presence.imeis() == [X]
    stored = await row(rig)
    assert (stored["online"], stored["address"]) == (True, "1.2.3.4:5")
    await trio.sleep(60)
    one.heard = trio.current_time()
    await trio.sleep(40)
    presence.ended(one, "closed by the device")
    assert len(presence) == 0
    stored = await row(rig)
    assert (stored["online"], stored["since"], stored["heard"]) == (
        False, EPOCH + 100, EPOCH + 60,
    )  # fmt: skip
    assert rig.kinds() == ["device.online", "device.offline"]
    assert rig.published[-1].line()["reason"] == "closed by the device"


async def test_a_close_that_is_noticed_late_does_not_make_it_offline(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    presence, old, new = made(rig), connection(), connection(address="1.2.3.4:6")
    register(presence, old)
    assert register(presence, new) is old
    await trio.sleep(100)
    presence.ended(old, "taken over")
    assert presence.get(X) is new
    stored = await row(rig)
    assert (stored["online"], stored["address"]) == (True, "1.2.3.4:6")
    assert rig.kinds() == ["device.online", "device.taken_over"]
    assert rig.published[-1].line()["displaced"] == "1.2.3.4:5"
    assert new.generation > old.generation
    assert presence.takeovers == 1


async def test_an_unregistered_connection_is_nobody(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    made(rig).ended(connection(None), "closed")
    await rig.records.flushed()
    assert rig.published == []


async def test_takeovers_that_repeat_are_told(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    presence = made(rig)
    for _ in range(6):
        register(presence, connection())
        await trio.sleep(1)
    await rig.records.flushed()
    assert rig.kinds("device.flapping") == ["device.flapping"]
    [flapping] = [e.line() for e in rig.published if e.type == "device.flapping"]
    assert (flapping["takeovers"], flapping["within"]) == (3, 60)


async def test_a_later_run_has_later_generations(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    first, second = connection(), connection()
    register(made(rig), first)
    await trio.sleep(1)
    register(made(rig), second)
    assert second.generation > first.generation


async def test_when_it_was_heard(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    one = connection()
    await trio.sleep(10)
    assert heard(one, trio.current_time()) == pytest.approx(EPOCH)


@pytest.fixture(scope="module")
def clocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        follow_trios_clock(patch)
        yield


@pytest.mark.usefixtures("clocks")
@given(
    st.lists(
        st.tuples(st.sampled_from(["registers", "ends"]), st.sampled_from([X, Y]), st.integers(0)),
        max_size=20,
    )
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_they_alternate(one_store: Database, steps: list[tuple[str, str, int]]) -> None:
    """Connections register and end in any order; an end may come long after a takeover."""
    emptied(one_store)

    async def go() -> None:
        rig = Rig(one_store)
        async with rig.lives():
            presence, alive = made(rig), list[Connection]()
            for step, imei, number in steps:
                if step == "registers":
                    alive.append(connection(imei))
                    register(presence, alive[-1])
                elif alive:
                    presence.ended(alive.pop(number % len(alive)), "closed")
            await rig.records.flushed()
            for imei in (X, Y):
                log = [e.type for e in rig.published if e.imei == imei]
                log = [type for type in log if type in ("device.online", "device.offline")]
                assert log[::2] == ["device.online"] * len(log[::2])
                assert log[1::2] == ["device.offline"] * len(log[1::2])
                assert (len(log) % 2 == 1) is (presence.get(imei) is not None)

    trio.run(go, clock=MockClock(autojump_threshold=0))
