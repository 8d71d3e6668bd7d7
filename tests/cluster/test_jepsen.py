"""scripts/jepsen: its judge finds each kind of breach."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from crashing.callers import Order
from crashing.verdict import Verdict
from faulting.judge import Event, Noted
from jepsen_lab.callers import Attempt
from jepsen_lab.history import Devices, History
from jepsen_lab.judge import judge
from jepsen_lab.losses import Failover, Operator

WALL = 1000.0  # seconds by which the wall clock of these histories is ahead
A = "860000000000001"


def order(number: int) -> Order:
    return Order(A, number, f"k{number}", {})


def record(number: int, sent: float, ended: float, **more: Any) -> dict[str, Any]:
    return {
        "command": f"id{number}", "imei": A, "type": "start", "long": number, "key": f"k{number}",
        "status": "200", "state": "ended", "late": False, "ambiguous": False,
        "accepted_at": WALL + sent - 0.1, "sent_at": WALL + sent, "ended_at": WALL + ended,
        "late_at": None, "expires_at": None,
        **more,
    }  # fmt: skip


def told(status: str, outcome: str, number: int = 1) -> dict[str, Any]:
    return {
        "status": status,
        "outcome": outcome,
        "command": f"id{number}",
        "message": "",
        "late": False,
    }


def ended(n: int, number: int, status: str = "200") -> Event:
    return Event(n, "command.ended", A, f"id{number}", json.dumps({"status": status}))


def line(event: Event) -> dict[str, Any]:
    """The lines of `watch` for it."""
    command = {} if event.command is None else {"command": event.command}
    return {
        "event": event.n, "type": event.type, "imei": event.imei, **command,
        **json.loads(event.detail),
    }  # fmt: skip


def good() -> History:
    """A device came online, and took two starts, one after the other."""
    devices = Devices()
    for number, at in ((1, 11.0), (2, 21.0)):
        devices.starts[A, number] = Noted([at], [(at + 0.1, "200")])
    first, second = order(1), order(2)
    events = [
        Event(1, "device.online", A, None, "{}"),
        Event(2, "command.accepted", A, "id1", "{}"),
        Event(3, "command.sent", A, "id1", "{}"),
        ended(4, 1),
        Event(5, "command.accepted", A, "id2", "{}"),
        Event(6, "command.sent", A, "id2", "{}"),
        ended(7, 2),
        Event(8, "device.offline", A, None, "{}"),
    ]
    first.answers = [told("200", "done")]
    second.answers = [told("200", "done", 2)]
    return History(
        orders=[first, second],
        attempts={
            first: [Attempt(10.0, 12.0, first.answers[0])],
            second: [Attempt(20.0, 22.0, second.answers[0])],
        },
        devices=devices,
        records=[record(1, 10.9, 11.3), record(2, 20.9, 21.3)],
        events=events,
        watched=[line(event) for event in events],
        received=[[str(e.n), A, "taken"] for e in events],
        posted=8,
        wall=WALL,
    )  # fmt: skip


def breaches(verdict: Verdict) -> list[str]:
    return [*verdict.doubled, *verdict.lost, *verdict.other]


def test_nothing_is_found_where_all_is_well() -> None:
    verdict = judge(good())
    assert breaches(verdict) == []
    assert verdict.figures["starts that devices saw"] == 2


def twice_with_one_key(history: History) -> None:
    history.devices.starts[A, 1].came.append(11.5)


def two_records_of_one_key(history: History) -> None:
    history.records = [*history.records, record(1, 10.9, 11.3, command="id3")]


def one_id_for_two_orders(history: History) -> None:
    attempt = history.attempts[history.orders[1]][0]
    assert attempt.reply is not None
    attempt.reply["command"] = "id1"


def no_record(history: History) -> None:
    history.records = history.records[1:]


def a_record_without_events(history: History) -> None:
    history.records = [*history.records, record(3, 30.0, 30.1, status="404", sent_at=None)]


def never_ended(history: History) -> None:
    history.records = [history.records[0], record(2, 20.9, 21.3, state="sent", status="000")]


def another_outcome(history: History) -> None:
    history.orders[0].answers = [told("408", "unknown")]
    history.records = [record(1, 10.9, 11.3, status="201"), history.records[1]]


def not_the_answer_of_its_device(history: History) -> None:
    history.devices.starts[A, 1].answered.clear()


def told_refused_afterwards(history: History) -> None:
    attempts = history.attempts[history.orders[0]]
    again = Attempt(15.0, 15.1, {**told("503", "refused"), "command": None})
    history.attempts = {**history.attempts, history.orders[0]: [*attempts, again]}


def started_after_it_was_refused(history: History) -> None:
    history.attempts[history.orders[0]][0].ended = 10.5
    history.attempts[history.orders[0]][0].reply = {**told("503", "refused"), "command": None}


def started_long_after_its_end(history: History) -> None:
    history.records = [record(1, 10.9, 11.3), record(2, 15.0, 17.0, status="408")]
    history.orders[1].answers = [told("408", "unknown", 2)]
    history.events = [*history.events[:6], ended(7, 2, "408"), history.events[7]]


def ambiguous_and_answered(history: History) -> None:
    history.records = [record(1, 10.9, 11.3, ambiguous=True), history.records[1]]


def a_gap(history: History) -> None:
    history.events = [event for event in history.events if event.n != 1]


def ended_twice(history: History) -> None:
    history.events = [*history.events[:7], ended(8, 2)]


def two_in_flight(history: History) -> None:
    events = list(history.events)
    events[3:6] = [
        events[4]._replace(n=4), events[5]._replace(n=5), events[3]._replace(n=6)
    ]  # fmt: skip
    history.events = events


def online_twice(history: History) -> None:
    history.events = [*history.events[:7], Event(8, "device.online", A, None, "{}")]


def not_watched(history: History) -> None:
    history.watched = [event for event in history.watched if event["event"] != 4]


def watched_what_is_not_there(history: History) -> None:
    history.watched = [*history.watched, {"event": 9, "type": "device.online", "imei": A}]


def not_posted(history: History) -> None:
    history.received = history.received[:-1]


def posted_in_another_order(history: History) -> None:
    history.received = history.received[::-1]


def a_caller_never_knew(history: History) -> None:
    history.odd = ["k1: its caller never came to know what became of it"]


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (twice_with_one_key, "reached its device 2 times"),
        (two_records_of_one_key, "2 records that say sent"),
        (one_id_for_two_orders, "were both told id1"),
        (no_record, "reached its device and no record says so"),
        (a_record_without_events, "has a record and no events"),
        (never_ended, "has not ended"),
        (another_outcome, "was answered"),
        (not_the_answer_of_its_device, "no other start"),
        (told_refused_afterwards, "was told that nothing was sent"),
        (started_after_it_was_refused, "after all its callers had been told"),
        (started_long_after_its_end, "late start"),
        (ambiguous_and_answered, "no record may be so"),
        (a_gap, "gap: event 2"),
        (ended_twice, "illegal events of id2"),
        (two_in_flight, "two in flight"),
        (online_twice, "presence:"),
        (not_watched, "was never told to `watch`"),
        (watched_what_is_not_there, "which is not on disk"),
        (not_posted, "webhook: event 8"),
        (posted_in_another_order, "came first in this order"),
        (a_caller_never_knew, "never came to know"),
    ],
)  # fmt: skip
def test_each_breach_is_found(plant: Callable[[History], None], words: str) -> None:
    history = copy.deepcopy(good())
    plant(history)
    found = breaches(judge(history))
    assert any(words in sentence for sentence in found), found


@pytest.mark.parametrize("clock", [-3600.0, 3600.0])
def test_a_clock_that_was_wrong_is_a_breach(clock: float) -> None:
    """The time of sending is by another clock than that of the end."""
    history = good()
    history.records = [record(1, 10.9, 11.3), record(2, 20.9, 21.3, sent_at=WALL + 20.9 + clock)]
    assert any("out of order" in words for words in breaches(judge(history)))


def test_starts_that_were_sent_apart_and_came_at_once_were_held_up_by_the_link() -> None:
    """The frames of two commands, 2 s apart, came with one read. Sent at one moment they prove
    nothing: a node may send both too late."""
    history = good()
    started_long_after_its_end(history)
    for sent, words in ((17.1, []), (15.1, ["late start"])):
        late = record(3, sent, 21.3)
        third = order(3)
        third.answers = [told("200", "done", 3)]
        history.orders = [*history.orders[:2], third]
        history.records = [*history.records[:2], late]
        history.devices.starts[A, 3] = Noted([21.01], [(21.1, "200")])
        found = [one[:10] for one in judge(history).other if "late start" in one]
        assert found == words


@pytest.mark.parametrize(
    ("cut", "words"),
    [((14.5, 20.5), []), ((15.5, 20.5), ["late start"]), ((10.0, 14.5), ["late start"])],
)
def test_a_start_that_was_sent_while_its_balancer_was_cut_off_comes_after_that(
    cut: tuple[float, float], words: list[str]
) -> None:
    """It was sent at 15.0, and TCP sends again what was lost. A cut that began later, or ended
    before, is no reason."""
    history = good()
    started_long_after_its_end(history)
    history.cut_off = [cut]
    found = [one[:10] for one in judge(history).other if "late start" in one]
    assert found == words


def test_an_outcome_that_was_lost_with_its_node_is_settled_by_the_next() -> None:
    """Another node gets the answer in time, because it knows no 408."""
    history = good()
    answer = told("408", "unknown") | {"message": "its outcome is unknown; not on disk yet"}
    history.orders[0].answers = [answer]
    assert breaches(judge(history)) == []
    history.records[0] |= {"status": "404", "sent_at": None}
    assert breaches(judge(history))


def test_a_start_that_met_another_in_flight_went_back_and_was_refused() -> None:
    history = good()
    refused = record(2, 0, 11.5, status="404", sent_at=None)
    history.orders, history.records = history.orders[:1], [history.records[0], refused]
    history.events = [
        *history.events[:3],
        Event(4, "command.accepted", A, "id2", "{}"),
        Event(5, "command.sent", A, "id2", "{}"),
        ended(6, 2, "404"),
        ended(7, 1),
        history.events[7],
    ]
    history.watched = [line(event) for event in history.events]
    del history.devices.starts[A, 2]
    assert breaches(judge(history)) == []


def test_a_webhook_that_asks_for_no_accounts_misses_none() -> None:
    history = good()
    history.events = [*history.events, Event(9, "account.added", None, None, "{}")]
    history.watched, history.posted = [line(event) for event in history.events], 9
    assert breaches(judge(history)) == []


def failed_over(lost: int, noticed: float | None) -> Operator:
    operator = Operator.__new__(Operator)  # it looks at no database
    operator.failovers = [Failover(20.0, lost, noticed)]
    return operator


def test_a_start_before_a_loss_was_noticed_is_found() -> None:
    """The second start reaches its device at 21."""
    devices = good().devices
    assert failed_over(0, None).judge(devices) == []
    assert failed_over(3, 20.4).judge(devices) == []
    [words] = failed_over(3, 25.0).judge(devices)
    assert f"{A} was started 1.00 s after the failover that lost 3 events" in words
    [words] = failed_over(3, None).judge(devices)
    assert "was never noticed" in words
    devices.lost_links[A] = [19.0]
    assert failed_over(3, 25.0).judge(devices) == [], "a link held it up"
