"""protocol.md section 4: commands whose results cannot be told apart."""

from __future__ import annotations

import pytest

from tests.gateway.commands.claiming import Device, Link


@pytest.fixture
def device() -> Device:
    return Device()


class TestGroup:
    """Results are held until there is one for each command."""

    def test_all_are_settled_in_order(self, device: Device) -> None:
        device.unknown(device.sends("a", 0), 5)
        device.unknown(device.sends("b", 6), 11)
        device.sends("c", 12)
        assert device.says(13, "201") == "held"
        assert device.says(14, "202") == "held"
        assert device.says(15, "200") == "a=201 b=202 c=200"
        assert len(device.claims) == 0

    def test_one_that_may_have_reached_nobody_claims_last(self, device: Device) -> None:
        first = device.sends("a", 0)
        device.link.acknowledges = False
        device.unknown(first, 5)
        device.sends("b", 6)
        device.link.acknowledges = False
        first_link = device.link
        device.reconnects(7)
        assert first.lost
        assert first_link is not device.link
        # Both are lost now: the order of sending holds. With the newer one acknowledged it does
        # not.
        assert device.says(8, "201") == "held"
        assert device.says(9, "202") == "a=201 b=202"

    def test_a_lost_one_claims_behind_one_that_arrived(self, device: Device) -> None:
        first = device.sends("a", 0)
        first.mark = Link(acknowledges=False)
        device.unknown(first, 5)
        device.sends("b", 6)
        device.reconnects(7)
        assert device.says(8, "201") == "held"
        assert device.says(9, "202") == "b=201 a=202"

    def test_nothing_held_at_the_deadline_is_a_408_like_any(self, device: Device) -> None:
        device.unknown(device.sends("a", 0), 5)
        assert device.unknown(device.sends("b", 6), 16) == ""
        assert [device.says(at) for at in (17, 18, 19)] == ["a=200", "b=200", "-"]

    def test_a_repeated_result_is_the_same_one(self, device: Device) -> None:
        device.unknown(device.sends("a", 0), 5)
        second = device.sends("b", 6)
        assert device.says(7) == "held"
        device.link.acknowledges = False
        device.reconnects(8)
        assert device.says(9) == "held"
        assert device.unknown(second, 16) == "a b", "one result, and not two"

    @pytest.mark.parametrize("status", ["200", "201"])
    def test_an_acknowledged_result_is_not_repeated(self, device: Device, status: str) -> None:
        device.unknown(device.sends("a", 0), 5)
        device.sends("b", 6)
        assert device.says(7) == "held"
        device.reconnects(8)
        assert device.says(9, status) == f"a=200 b={status}"

    def test_another_result_is_not_the_repeated_one(self, device: Device) -> None:
        device.unknown(device.sends("a", 0), 5)
        device.sends("b", 6)
        assert device.says(7) == "held"
        device.link.acknowledges = False
        device.reconnects(8)
        assert device.says(9, "201") == "a=200 b=201"

    def test_a_stop_is_not_of_the_group(self, device: Device) -> None:
        device.unknown(device.sends("a", 0), 5)
        device.sends("b", 6)
        assert device.says(7) == "held"
        device.sends("s", 8, "ST")
        assert device.says(9, kind="ST") == "s=200"
        assert device.says(10) == "a=200 b=200"


class TestAmbiguous:
    """Fewer answers than commands belong to none."""

    def test_the_next_is_judged_by_its_own_answer(self, device: Device) -> None:
        device.unknown(device.sends("a", 0), 5)
        second = device.sends("b", 6)
        assert device.says(7) == "held"
        assert device.unknown(second, 16) == "a b"
        device.sends("c", 17)
        assert device.says(18) == "c=200"
        assert device.says(19) == "-"

    def test_no_older_one_is_open_either(self, device: Device) -> None:
        device.unknown(device.sends("y", 0), 5)
        device.link.heard = 16
        device.unknown(device.sends("a", 17), 22)  # y has yielded
        second = device.sends("b", 23)
        assert device.says(24) == "held"
        assert device.unknown(second, 33) == "a b"
        assert device.says(34, "201") == "a=200 b=201"
        assert device.says(35) == "-"

    @pytest.mark.parametrize(("at", "settled"), [(76, "a=200 b=201"), (76.1, "-")])
    def test_missing_answers_count_within_the_window(
        self, device: Device, at: float, settled: str
    ) -> None:
        device.unknown(device.sends("a", 0), 5)
        second = device.sends("b", 6)
        device.says(7)
        device.unknown(second, 16)
        assert device.says(at, "201") == settled
        assert device.says(at) == "-"

    def test_missing_answers_do_not_count_once_another_was_sent(self, device: Device) -> None:
        device.unknown(device.sends("a", 0), 5)
        second = device.sends("b", 6)
        device.says(7)
        device.unknown(second, 16)
        device.unknown(device.sends("c", 17), 27)
        assert device.says(28) == "c=200"
        assert device.says(29) == "-"

    def test_commands_of_the_other_kind_do_not_matter(self, device: Device) -> None:
        device.unknown(device.sends("a", 0), 5)
        second = device.sends("b", 6)
        device.says(7)
        device.unknown(second, 16)
        device.sends("s", 17, "ST")
        assert device.says(18) == "a=200 b=200"
