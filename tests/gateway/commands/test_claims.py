"""protocol.md section 4: which command a result settles."""

from __future__ import annotations

import pytest

from devgate.gateway.commands.claims import Sent
from tests.gateway.commands.claiming import Device


@pytest.fixture
def device() -> Device:
    return Device()


class TestAlone:
    def test_the_first_result_settles_it_at_once(self, device: Device) -> None:
        device.sends("a", 0)
        assert device.says(1) == "a=200"
        assert device.says(2) == "-"
        assert len(device.claims) == 0

    def test_of_its_kind(self, device: Device) -> None:
        device.sends("a", 0)
        assert device.says(1, kind="ST") == "-"
        assert device.says(2) == "a=200"

    @pytest.mark.parametrize(("at", "settled"), [(69.9, "a=201"), (70, "a=201"), (70.1, "-")])
    def test_late_within_the_window(self, device: Device, at: float, settled: str) -> None:
        assert device.unknown(device.sends("a", 0), 10) == ""
        assert device.says(at, "201") == settled

    def test_in_flight_for_as_long_as_it_takes(self, device: Device) -> None:
        device.sends("a", 0)
        assert device.says(1e9) == "a=200"


class TestYield:
    """Decided once, when the newer command's first byte goes out."""

    def test_after_unacknowledged_bytes_on_a_connection_that_ended(self, device: Device) -> None:
        first = device.sends("a", 0)
        device.link.acknowledges = False
        device.unknown(first, 10)
        device.reconnects(12)
        device.sends("b", 13)
        assert device.says(14) == "b=200"

    def test_not_while_that_connection_lasts(self, device: Device) -> None:
        first = device.sends("a", 0)
        device.link.acknowledges = False
        device.unknown(first, 10)
        device.link.heard = 50
        device.sends("b", 51)
        assert device.says(52) == "held"

    @pytest.mark.parametrize(("heard", "settled"), [(20.1, "b=200"), (20.0, "held")])
    def test_after_bytes_behind_an_acknowledgement(
        self, device: Device, heard: float, settled: str
    ) -> None:
        device.unknown(device.sends("a", 0), 10)  # seen to be acknowledged at 10
        device.link.heard = heard
        device.sends("b", 25)
        assert device.says(26) == settled

    def test_counts_from_when_the_acknowledgement_was_seen(self, device: Device) -> None:
        device.link.acknowledges = False
        device.unknown(device.sends("a", 0), 10)
        device.link.acknowledges, device.link.heard = True, 25
        second = device.sends("b", 26)  # seen now
        assert device.says(27) == "held"
        assert device.unknown(second, 36) == "a b"

    @pytest.mark.parametrize(("heard", "settled"), [(25.1, "b=200"), (25.0, "held")])
    def test_after_bytes_on_a_later_connection(
        self, device: Device, heard: float, settled: str
    ) -> None:
        device.unknown(device.sends("a", 0), 10)
        device.reconnects(15)
        device.link.heard = heard
        device.sends("b", 30)
        assert device.says(31) == settled

    def test_after_bytes_on_a_later_connection_that_has_ended(self, device: Device) -> None:
        device.unknown(device.sends("a", 0), 10)
        device.reconnects(15)
        device.link.heard = 26
        device.reconnects(30)
        device.sends("b", 31)
        assert device.says(32) == "b=200"

    @pytest.mark.parametrize("ends", [False, True])
    def test_behind_a_load_balancer_only_a_later_connection_counts(self, ends: bool) -> None:
        device = Device(relayed=True)
        first = device.sends("a", 0)
        device.link.acknowledges = False
        device.unknown(first, 10)
        device.link.heard = 50
        if ends:
            device.reconnects(51)
        device.sends("b", 52)
        assert device.says(53) == "held"
        assert device.says(54) == "a=200 b=200"

    def test_after_a_restart_only_a_later_connection_counts(self, device: Device) -> None:
        device.claims.reopen(Sent("a", "QD", unknown_since=0.0))
        device.registered, device.link.heard = 5, 14
        second = device.sends("b", 14)
        assert device.says(14.5) == "held"
        assert device.unknown(second, 24) == "a b"
        device.claims.reopen(Sent("c", "QD", 7, unknown_since=24.0))
        device.link.heard = 15.1
        device.sends("d", 25)
        assert device.says(26) == "d=200"

    def test_one_that_has_yielded_waits_until_nothing_newer_is_open(self, device: Device) -> None:
        device.unknown(device.sends("a", 0), 10)
        device.link.heard = 21
        second = device.sends("b", 22)
        device.unknown(second, 32)
        assert device.says(33) == "b=200"
        assert device.says(34) == "a=200"

    def test_of_several_that_have_yielded_the_newest_has_its_turn(self, device: Device) -> None:
        device.unknown(device.sends("a", 0), 5)
        device.unknown(device.sends("b", 6), 16)
        device.link.heard = 27
        device.sends("c", 28)
        assert [device.says(at) for at in (29, 30, 31)] == ["c=200", "b=200", "a=200"]

    def test_later_bytes_do_not_change_a_group(self, device: Device) -> None:
        device.unknown(device.sends("a", 0), 10)
        device.sends("b", 11)
        device.link.heard = 40
        assert device.says(41) == "held"

    def test_the_window_does_not_change_a_group(self, device: Device) -> None:
        device.unknown(device.sends("a", 0), 10)
        device.sends("b", 60)
        assert device.says(80) == "held"
        assert device.says(81, "201") == "a=200 b=201"
