"""One device, with a clock of our own. No sockets, no waiting."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devgate.model import Imei
from devgate.protocol.frames import SHORT_404, encode
from devgate.simulator import device as d
from devgate.simulator.device import Device, Mark, News, Start
from devgate.simulator.options import Habits

ME = Imei("123456787654321")
OTHER = Imei("999999999999999")
HT, TN, QR = (encode("000", ME, command) for command in ("HT", "TN", "QR"))
WELCOME = encode("200", ME, "HT")
PLAIN = Habits(greet=0.0, delay=(0.2, 0.2), heartbeat=1e9, ask=1e9)
SENT = re.compile(rb"(?:0[0-9]{2}[0-9]{3}123456787654321(?:HT|TN|QR|QD|ST)|1| |0|AT)*")


def registered(habits: Habits = PLAIN, *, times: bool = False, seed: int = 1) -> Device:
    device = Device(ME, habits, Random(seed), times=times)
    device.connected(0.0)
    assert device.receive(WELCOME, 0.0) == (TN + QR, [Mark.REGISTERED])
    return device


def start(data: bytes, imei: Imei = ME) -> bytes:
    return encode("000", imei, "QD", data)


def result(status: str, command: str = "QD") -> bytes:
    return encode(status, ME, command)


def test_it_registers_and_asks_for_its_texts() -> None:
    device = Device(ME, PLAIN, Random(1))
    assert device.connected(5.0).wire == HT
    assert device.receive(WELCOME, 5.1) == (TN + QR, [Mark.REGISTERED])
    device.receive(encode("200", ME, "TN", b"400-500-5620"), 5.2)
    device.receive(encode("200", ME, "QR", b"http://csgxjk.com/qrcode/dev/16"), 5.2)
    assert (device.phone, device.qr) == (b"400-500-5620", b"http://csgxjk.com/qrcode/dev/16")
    device.receive(encode("300", ME, "TN"), 5.3)
    assert device.phone is None


def test_it_may_begin_with_a_heartbeat_and_register_when_asked() -> None:
    device = Device(ME, Habits(greet=1.0), Random(1))
    step = device.connected(0.0)
    assert step.wire in d.BEATS
    assert step.news == [Mark.BEAT]
    assert device.receive(SHORT_404, 0.5).wire == HT
    assert device.receive(WELCOME, 0.6).news == [Mark.REGISTERED]


@pytest.mark.parametrize("again", [SHORT_404, encode("404", ME, "HT"), encode("404", ME, "TN")])
def test_it_registers_again_when_told_to_but_plays_no_ping_pong(again: bytes) -> None:
    device = registered()
    assert device.receive(again, 20.0) == (HT, [Mark.FORGOTTEN])
    assert device.receive(again, 20.1) == (b"", [])
    assert device.next == 20.0 + d.HELLO_GAP_SECONDS
    assert device.due(21.0).wire == HT
    assert device.receive(WELCOME, 21.1).news == [Mark.REGISTERED]


def test_a_lost_registration_is_sent_again() -> None:
    device = Device(ME, PLAIN, Random(1))
    device.connected(0.0)
    assert device.next == d.HELLO_SECONDS
    assert device.due(d.HELLO_SECONDS).wire == HT


@pytest.mark.parametrize("status", ["300", "401"])
def test_a_refused_device_asks_again_much_later(status: str) -> None:
    device = registered()
    assert device.receive(encode(status, ME, "HT"), 1.0).news == [Mark.FORGOTTEN, Mark.REFUSED]
    assert 1.0 + d.REFUSED_SECONDS / 2 <= device.next <= 1.0 + d.REFUSED_SECONDS
    assert device.due(device.next).wire == HT


def test_heartbeats_come_in_all_forms_at_uneven_times() -> None:
    device = registered(Habits(greet=0.0, ask=1e9))
    sent, gaps, before = set(), set(), 0.0
    for _ in range(100):
        now = device.next
        step = device.due(now)
        assert step.news == [Mark.BEAT]
        sent.add(step.wire)
        gaps.add(now - before)
        before = now
    assert sent == set(d.BEATS)
    assert len(gaps) == 100
    assert max(gaps) <= 60, "within a minute, says the original"


def test_texts_are_asked_for_now_and_then() -> None:
    device = registered(Habits(greet=0.0, heartbeat=1e9, ask=3600.0))
    assert 1800 <= device.next <= 5400
    assert device.due(device.next).wire == TN + QR


def test_a_started_device_answers_and_runs_for_its_time() -> None:
    device = registered()
    assert device.receive(start(b"500"), 10.0) == (b"", [Start(b"500"), Mark.RUNS])
    assert device.next == 10.2
    assert device.due(10.2) == (result("200"), [Mark.RESULT])
    device.receive(result("200"), 10.3)
    assert device.next == 510.0
    assert device.due(510.0) == (b"", [Mark.RESTS])


def test_a_second_start_adds_its_time() -> None:
    device = registered()
    device.receive(start(b"500"), 10.0)
    step = device.receive(start(b"500"), 20.0)
    assert step.news == [Start(b"500"), Mark.RESULT], "it runs already; the first result is due"
    assert device.until == 1010.0


def test_a_device_that_counts_times_runs_for_so_many_turns() -> None:
    device = registered(times=True)
    device.receive(start(b"5"), 10.0)
    assert device.until == 10.0 + 5 * d.TURN_SECONDS


@pytest.mark.parametrize("data", [b"", b"0", b"-5", b"5s", b" 5", "٣".encode(), b"9" * 976])
def test_a_number_that_is_none_fails(data: bytes) -> None:
    device = registered()
    assert device.receive(start(data), 10.0).news == [Start(data)]
    assert device.due(10.2).wire == result("201")
    assert device.until is None


def test_a_stop_stops_it() -> None:
    device = registered(Habits(greet=0.0, delay=(0.0, 0.0), heartbeat=1e9, ask=1e9))
    assert device.receive(start(b"500"), 1.0).wire == result("200"), "without delay: at once"
    step = device.receive(encode("000", ME, "ST"), 2.0)
    assert step == (result("200", "ST"), [Mark.STOP, Mark.RESTS, Mark.RESULT])
    again = device.receive(encode("000", ME, "ST"), 3.0)
    assert again.news == [Mark.STOP, Mark.RESULT], "it was not running"


def test_a_failing_device_says_so_and_does_not_run() -> None:
    device = registered(Habits(greet=0.0, fail=1.0, delay=(0.2, 0.2)))
    assert device.receive(start(b"500"), 1.0).news == [Start(b"500")]
    assert device.due(1.2).wire == result("201")


def test_a_silent_device_says_nothing_and_may_run_or_not() -> None:
    habits = Habits(greet=0.0, silent=1.0, heartbeat=1e9, ask=1e9)
    runs = set()
    for seed in range(20):
        device = registered(habits, seed=seed)
        assert device.receive(start(b"500"), 1.0).wire == b""
        runs.add(device.until)
        assert device.due(2.0).wire == b""
    assert runs == {None, 501.0}


@pytest.mark.parametrize("command", ["QD", "ST"])
def test_a_command_to_another_is_answered_not_me(command: str) -> None:
    device = registered()
    assert device.receive(encode("000", OTHER, command), 1.0).news == [Mark.NOT_OURS]
    assert device.due(1.2).wire == result("202", command)
    assert device.until is None


def test_an_unacknowledged_result_is_repeated_but_not_for_ever() -> None:
    device = registered()
    device.receive(start(b"500"), 0.0)
    times = []
    while device.next < 500.0:
        times.append(device.next)
        assert device.due(device.next).wire == result("200")
    assert times == [0.2, 0.2 + d.ACK_SECONDS, 0.2 + 2 * d.ACK_SECONDS]


def test_a_result_outlives_its_connection() -> None:
    device = registered()
    device.receive(start(b"500"), 0.0)
    assert device.disconnected()
    assert device.next == 500.0, "off line it goes on running"
    assert device.due(3.0).wire == b""
    assert device.connected(4.0).wire == HT
    assert device.receive(WELCOME, 4.1).wire == result("200") + TN + QR
    assert not Device(ME, PLAIN, Random(1)).disconnected()


def test_an_acknowledgement_is_for_a_result_of_its_kind_that_was_sent() -> None:
    device = registered()
    device.receive(start(b"500"), 0.0)
    device.receive(result("200"), 0.1)
    assert device.due(0.2).wire == result("200"), "one that was not yet sent is not settled"
    device.receive(result("200", "ST"), 0.3)
    assert device.next == 0.2 + d.ACK_SECONDS
    device.receive(result("200"), 0.4)
    assert device.next == 500.0


def test_churn_ends_connections_in_both_ways() -> None:
    ways: dict[News, int] = {Mark.HANG_UP: 0, Mark.VANISH: 0}
    habits = Habits(greet=0.0, churn=2.0, heartbeat=1e9, ask=1e9)
    device, now = Device(ME, habits, Random(1)), 0.0
    for _ in range(200):
        device.connected(now)
        device.receive(WELCOME, now)
        now = device.next
        (way,) = device.due(now).news
        ways[way] += 1
        device.disconnected()
    assert now / 200 == pytest.approx(1800, rel=0.2), "two in an hour"
    assert min(ways.values()) > 60


@pytest.mark.parametrize("wire", [encode("200", OTHER, "HT"), encode("200", ME, "XX")])
def test_frames_that_are_not_for_it_are_noted(wire: bytes) -> None:
    assert registered().receive(wire, 1.0) == (b"", [Mark.NOT_OURS])


heard = st.one_of(
    st.just(SHORT_404),
    st.binary(max_size=30),
    st.builds(
        encode,
        st.sampled_from(["000", "200", "300", "401", "404", "555"]),
        st.sampled_from([ME, ME, ME, OTHER]),
        st.sampled_from(["HT", "TN", "QR", "QD", "ST", "XY"]),
        st.sampled_from([b"", b"5", b"900", b"text"]),
    ),
)
steps = st.lists(st.one_of(heard, st.just("due"), st.just("cut")), max_size=60)


@given(steps, st.randoms(use_true_random=False), st.booleans())
def test_whatever_comes_it_stays_a_device(
    script: Sequence[bytes | str], rng: Random, times: bool
) -> None:
    habits = Habits(fail=0.3, silent=0.3, churn=100.0, heartbeat=7.0, ask=20.0, greet=0.5)
    device, now, running, known = Device(ME, habits, rng, times=times), 100.0, 0, 0
    step = device.connected(now)
    for act in script:
        if isinstance(act, bytes):
            now += 0.1
            step = device.receive(act, now)
        elif act == "due" and device.next < math.inf:
            now = max(now, device.next)
            step = device.due(now)
        elif act == "cut":
            known -= device.disconnected()
            step = device.connected(now)
        assert SENT.fullmatch(step.wire), "frames of its own and heartbeats, nothing else"
        running += step.news.count(Mark.RUNS) - step.news.count(Mark.RESTS)
        known += step.news.count(Mark.REGISTERED) - step.news.count(Mark.FORGOTTEN)
        assert running == (device.until is not None)
        assert known == device.registered
        assert device.next > now, "nothing is left undone, and nothing spins"


@given(st.lists(st.sampled_from([b"5", b"900", b"no number"]), max_size=20), st.data())
def test_it_counts_every_start_once_however_they_are_cut(
    numbers: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(start(number) for number in numbers)
    device, seen = registered(), list[News]()
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        seen += device.receive(stream[:cut], 1.0).news
        stream = stream[cut:]
    assert [news.data for news in seen if isinstance(news, Start)] == numbers
