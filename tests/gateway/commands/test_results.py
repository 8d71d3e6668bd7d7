"""What devices report, and what only seems to be a report: echoes."""

from __future__ import annotations

from devgate.store.engine import Database
from tests.gateway.rig import X, ask
from tests.gateway.whole import WELCOME, serving, until

TN = b"023000123456787654321TN"
PHONE = b"035200123456787654321TN400-500-5620"
SHORT_404 = b"006404"


class TestEchoes:
    """On an echoing connection no result settles anything."""

    async def test_an_echo_is_not_answered_and_reported_once(self, store: Database) -> None:
        async with serving(store) as (whole, device, _):
            await device.registers()
            await device.says(SHORT_404 + WELCOME)
            await device.says(TN)
            assert await device.hears(35) == PHONE
            await whole.records.flushed()
            assert whole.kinds("device") == ["device.online", "device.echoing"]

    async def test_its_commands_are_unknown(self, store: Database) -> None:
        async with serving(store) as (whole, device, nursery):
            await device.registers()
            asked = ask(whole, nursery, timeout=0.3)
            start = await device.hears(26)
            assert start == b"026000123456787654321QD500"
            await device.says(start)  # the echo
            await device.says(b"023200123456787654321QD")  # our receipt, or the device's word?
            assert await device.hears(23) == b"023200123456787654321QD"
            await until(lambda: asked.said)
            assert asked.status == "408"
            await whole.records.flushed()
            assert "result.unsolicited" in whole.kinds()


async def test_a_result_is_acknowledged_and_settles(store: Database) -> None:
    async with serving(store) as (whole, device, nursery):
        await device.registers()
        asked = ask(whole, nursery)
        assert await device.hears(26) == b"026000123456787654321QD500"
        await device.says(b"023200123456787654321QD")
        assert await device.hears(23) == b"023200123456787654321QD"
        await until(lambda: asked.said)
        assert asked.status == "200"


async def test_a_link_counts_its_bytes_only_while_a_result_may_come(store: Database) -> None:
    async with serving(store) as (whole, device, nursery):
        await device.registers()
        link = whole.connection().link
        for _ in range(2):
            assert link.outbound is None, "nobody needs its marks"
            asked = ask(whole, nursery)
            assert await device.hears(26) == b"026000123456787654321QD500"
            assert link.outbound is not None
            await device.says(b"023200123456787654321QD")
            assert await device.hears(23) == b"023200123456787654321QD"
            await until(lambda asked=asked: asked.said)
        assert link.outbound is None


async def test_not_me_settles_and_is_reported(store: Database) -> None:
    async with serving(store) as (whole, device, nursery):
        await device.registers()
        asked = ask(whole, nursery, "stop")
        assert await device.hears(23) == b"023000123456787654321ST"
        await device.says(b"020202999999999999999ST")
        assert await device.hears(23) == b"023200999999999999999ST"
        await until(lambda: asked.said)
        assert asked.status == "202"
        await whole.records.flushed()
        [mismatch] = [e.line() for e in whole.published if e.type == "device.mismatch"]
        assert (mismatch["imei"], mismatch["said"]) == (X, "999999999999999")


async def test_an_unsolicited_result_is_told_once_a_second(store: Database) -> None:
    async with serving(store) as (whole, device, _):
        await device.registers()
        await device.says(b"023200123456787654321QD" * 50)
        await device.says(TN)
        assert await device.hears(58) == b"023200123456787654321QD" + PHONE
        await whole.records.flushed()
        assert whole.kinds("result") == ["result.unsolicited"]
