"""protocol.md section 4: which command a result settles."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from devgate.gateway.commands.claims import Claims, Held, Sent

LATE = 60.0
T = 10.0  # how long after an acknowledgement an answer is expected


@dataclass(eq=False)
class Link:
    """A connection. `acknowledges`: the device's TCP does, what was sent and what will be."""

    heard: float = 0.0
    acknowledges: bool = True

    def acknowledged(self) -> bool:
        return self.acknowledges


class Device:
    """A device whose commands are sent, answered and given up, at given times."""

    def __init__(self, relayed: bool = False) -> None:
        self.claims: Claims[str] = Claims()
        self.link = Link()
        self.registered = 0.0
        self.relayed = relayed
        self.number = 0

    def sends(self, name: str, at: float, kind: str = "QD") -> Sent[str]:
        self.number += 1
        mark = None if self.relayed else self.link
        entry = Sent(name, kind, self.number, at, link=self.link, mark=mark)
        return self.claims.sent(entry, self.registered, lambda name: T, LATE)

    def says(self, at: float, status: str = "200", kind: str = "QD") -> str:
        """What the result settles: "a=200 b=201"; "held"; "-" if nobody claims it."""
        self.link.heard = at
        found = self.claims.settle(kind, status, at, LATE, self.link)
        if found is None:
            return "-"
        if isinstance(found, Held):
            found.ack_sent, found.mark = True, None if self.relayed else self.link
            return "held"
        return " ".join(f"{entry.command}={held.status}" for entry, held in found)

    def unknown(self, entry: Sent[str], at: float) -> str:
        """The command's time is up. Returns those that are ambiguous."""
        return " ".join(one.command for one in self.claims.unanswered(entry, at))

    def reconnects(self, at: float) -> None:
        self.claims.disconnected(self.link, self.registered, at)
        self.link, self.registered = Link(at), at


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
