"""Devices' bytes over pairs of sockets: answers, timeouts and ends. The clock jumps."""

from __future__ import annotations

import logging
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from devgate.gateway.devices.parked_task import as_function, as_object
from devgate.net.queues import READ_SIZE
from devgate.store.engine import Database
from tests.gateway.rig import X
from tests.gateway.whole import HT, WELCOME, Machine, Whole, serving, until

TN = b"023000123456787654321TN"
PHONE = b"035200123456787654321TN400-500-5620"
SHORT_404 = b"006404"


@pytest.fixture(autouse=True, params=[as_object, as_function])
def form_of_tasks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Whole, "make_task", staticmethod(request.param))


async def test_a_device_registers_and_asks(store: Database) -> None:
    async with serving(store) as (whole, device, _):
        await device.says(HT + TN)
        assert await device.hears(58) == WELCOME + PHONE
        assert whole.presence.get(X) is whole.connection()
        await device.stream.aclose()
        await until(lambda: not whole.desk.connections)
        assert whole.presence.get(X) is None
        await whole.records.flushed()
        assert whole.kinds("device") == ["device.online", "device.offline"]


async def test_a_frame_in_two_segments(store: Database, autojump_clock: MockClock) -> None:
    async with serving(store, heartbeat_grace=60, partial_timeout=60) as (_, device, _):
        await device.says(HT[:9])
        await trio.sleep(1)
        await device.says(HT[9:])
        assert await device.hears(23) == WELCOME


async def test_a_newer_connection_takes_over(store: Database) -> None:
    async with serving(store) as (whole, old, nursery):
        await old.registers()
        new = whole.dial(nursery)
        await new.registers()
        assert await old.gone()
        await until(lambda: len(whole.desk.connections) == 1)
        assert whole.presence.get(X) is whole.connection()
        await new.says(TN)
        assert await new.hears(35) == PHONE
        await whole.records.flushed()
        assert whole.kinds("device") == ["device.online", "device.taken_over"]


class TestUnregistered:
    @pytest.mark.parametrize("beat", [b" ", b"AT", b"xyz", b"\r\n"])
    async def test_a_heartbeat_is_answered_at_once(self, store: Database, beat: bytes) -> None:
        async with serving(store, heartbeat_grace=60) as (_, device, _):
            await device.says(beat)
            assert await device.hears(6) == SHORT_404

    async def test_or_within_the_grace_if_it_may_be_the_start_of_a_frame(
        self, store: Database, autojump_clock: MockClock
    ) -> None:
        async with serving(store, heartbeat_grace=0.5, partial_timeout=60) as (_, device, _):
            await device.says(b"0")
            assert await device.hears(6) == SHORT_404
            await device.says(HT[1:])
            assert await device.hears(23) == WELCOME, "its byte went on waiting"

    async def test_half_a_frame_is_malformed_in_the_end(
        self, store: Database, autojump_clock: MockClock
    ) -> None:
        async with serving(store, heartbeat_grace=0.5, partial_timeout=10) as (_, device, _):
            await device.says(HT[:9])
            assert await device.hears(6) == SHORT_404
            await device.registers()

    async def test_who_does_not_register_is_closed(
        self, store: Database, autojump_clock: MockClock
    ) -> None:
        async with serving(store, register_timeout=10) as (whole, device, _):
            why: list[str] = []
            await until(lambda: whole.desk.connections)
            connection = whole.connection()
            assert await device.gone()
            why.append(connection.why)
            assert why == ["it did not register"]


async def test_half_a_frame_of_a_device_is_judged_in_time(
    store: Database, autojump_clock: MockClock
) -> None:
    async with serving(store, partial_timeout=10) as (_, device, _):
        await device.registers()
        await device.says(TN[:9])
        assert await device.hears(6) == SHORT_404


async def test_a_heartbeat_of_a_device_is_not_answered(
    store: Database, autojump_clock: MockClock
) -> None:
    async with serving(store, partial_timeout=5, heartbeat_grace=5) as (whole, device, _):
        await device.registers()
        for beat in (b"1", b"AT", b"0", b"00", b" "):
            await device.says(beat)
            await trio.sleep(2)
        await trio.sleep(10)
        await device.says(TN)
        assert await device.hears(35) == PHONE, "and nothing before it"
        assert whole.connection().session.malformed == 0


async def test_who_is_silent_is_closed(store: Database, autojump_clock: MockClock) -> None:
    async with serving(store, idle_timeout=30) as (whole, device, _):
        await device.registers()
        connection = whole.connection()
        assert await device.gone()
        assert connection.why == "silent for too long"
        await whole.records.flushed()
        assert whole.published[-1].line()["reason"] == "silent for too long"


async def test_who_speaks_is_not_though_the_loop_stalled(store: Database) -> None:
    """What came in time is read before anybody is judged."""
    whole = Whole(store, idle_timeout=180)
    async with trio.open_nursery() as nursery:
        device = whole.dial(nursery)
        await until(lambda: whole.desk.connections)
        await device.says(HT)
        now = trio.current_time()
        whole.desk.rounds.read(whole.poller.arrivals(), now)
        await device.says(b" ")
        await whole.desk.watch.sweep(now + 500)
        assert whole.connection().why == ""
        await whole.desk.watch.sweep(now + 1000)
        assert whole.connection().why == "silent for too long"
    await whole.aclose()


async def test_a_tail_is_not_judged_before_what_came_in_time(store: Database) -> None:
    whole = Whole(store)
    async with trio.open_nursery() as nursery:
        device = whole.dial(nursery)
        await until(lambda: whole.desk.connections)
        await device.says(HT[:9])
        now = trio.current_time()
        whole.desk.rounds.read(whole.poller.arrivals(), now)
        await device.says(HT[9:])
        whole.desk.watch.judge(now + 99)
        assert await device.hears(23) == WELCOME
        whole.connection().end("over")
    await whole.aclose()


async def test_who_does_not_speak_the_protocol_is_closed(
    store: Database, autojump_clock: MockClock
) -> None:
    async with serving(store, max_malformed=3) as (whole, device, _):
        await until(lambda: whole.desk.connections)
        connection = whole.connection()
        for _ in range(3):
            await device.says(b"GET / HTTP/1.1\r\n\r\n")
            await trio.sleep(0.1)
        assert await device.hears(99) == SHORT_404, "once a second at the most, and then the end"
        assert connection.why == "it does not speak the protocol"


async def test_a_good_frame_now_and_then_is_enough(
    store: Database, autojump_clock: MockClock
) -> None:
    async with serving(store, max_malformed=2) as (_, device, _):
        await device.registers()
        for _ in range(5):
            await device.says(b"noise noise")
            await trio.sleep(0.1)
            await device.says(TN)
            got = await device.hears(35)
            if got.startswith(SHORT_404):
                got = got[6:] + await device.hears(6)
            assert got == PHONE


async def test_a_flood_is_read_in_turns_and_to_its_end(store: Database) -> None:
    async with serving(store) as (whole, device, nursery):
        await device.registers()
        other = whole.dial(nursery)
        many = READ_SIZE * 20 // 23
        async with trio.open_nursery() as both:
            both.start_soon(device.says, TN * many)
            await other.says(b" ")
            assert await other.hears(6) == SHORT_404
            assert await device.hears(35 * many) == PHONE * many


@pytest.mark.parametrize("following", [b"", b" " * (READ_SIZE * 9), b"0230"])
async def test_who_shuts_down_its_sending_side_gets_its_answers(
    store: Database, following: bytes
) -> None:
    async with serving(store) as (_, device, _):
        await device.says(HT + following)
        await device.stream.send_eof()
        assert await device.hears(99) == WELCOME


async def test_who_does_not_read_loses_its_connection(store: Database) -> None:
    async with serving(store) as (whole, device, nursery):
        await device.registers()
        connection = whole.connection()
        connection.link.max_unsent = 4096
        async with trio.open_nursery() as sending:
            sending.start_soon(flood, device)
            await until(lambda: connection.why)
        assert connection.why == "it does not read"
        await whole.dial(nursery).registers()  # others do not notice


async def flood(device: Machine) -> None:
    with suppress(trio.BrokenResourceError):
        while True:
            await device.says(TN * 100)


async def test_a_fault_in_one_connection_ends_that_one_alone(
    store: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(store) as (whole, device, nursery):
        await device.registers()
        connection = whole.connection()
        other = whole.dial(nursery)

        def broken(news: object, connection: object, now: float) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(whole.dispatcher, "settle", broken)
        with caplog.at_level(logging.CRITICAL):
            await device.says(b"023200123456787654321QD")
            assert await device.gone()
        assert connection.why == "a fault of the gateway"
        await other.says(b" ")
        assert await other.hears(6) == SHORT_404


async def test_a_reset_is_an_end_like_others(store: Database) -> None:
    async with serving(store) as (whole, device, _):
        await device.registers()
        await device.says(TN[:9])
        device.stream.socket.close()
        await until(lambda: not whole.desk.connections)
        assert whole.presence.get(X) is None


async def test_settings_can_change_meanwhile(store: Database, autojump_clock: MockClock) -> None:
    async with serving(store, idle_timeout=1000) as (whole, device, _):
        await device.registers()
        settings = whole.gateway.settings.device.model_copy(update={"idle_timeout": 10})
        whole.desk.apply(settings)
        assert await device.gone()


async def test_ending_a_connection_that_is_being_cancelled(store: Database) -> None:
    whole = Whole(store)
    async with trio.open_nursery() as nursery:
        whole.dial(nursery)
        await until(lambda: whole.desk.connections)
        connection = whole.connection()
        nursery.cancel_scope.cancel()
        connection.end("too late")
    connection.end("again")
    assert connection.why == "too late"
    assert not connection.transmit(b"anything")
    await whole.aclose()
