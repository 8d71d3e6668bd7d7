"""What can be asked: replies to the letter of control.md, and no request that is a fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from devgate.errors import CallerError, DevgateError, StoreError
from devgate.gateway.operations.entry import dispatch
from devgate.gateway.operations.reply import Reply, Stream
from devgate.gateway.operations.table import OPERATIONS
from devgate.store.engine import Database
from tests.gateway.clocks import follow_trios_clock
from tests.gateway.rig import NOBODY, OFF, Rig, X, Y, emptied
from tests.gateway.whole import Whole, registers
from tests.writing import flushed

COMMAND_FIELDS = [
    "status", "late", "message", "imei", "type", "long", "command", "key", "source", "state",
    "accepted_at", "sent_at", "ended_at", "late_at",
]  # fmt: skip
STATUS_FIELDS = {
    "status", "version", "uptime", "listen", "connections", "registered", "devices",
    "in_flight", "waiting", "memory", "store", "draining",
}  # fmt: skip
DEVICE_FIELDS = {
    "status", "imei", "id", "name", "site", "enabled", "online", "since", "address", "heard",
    "running_until", "last",
}  # fmt: skip


@pytest.fixture
async def whole(rig: Rig) -> Whole:
    whole = Whole(rig.database)
    whole.know()
    return whole


async def ask(whole: Whole, type: str, **args: Any) -> Reply:
    reply = await dispatch(whole.gateway, {"type": type, **args}, "test")
    assert isinstance(reply, dict)
    return reply


async def refused(whole: Whole, type: str, **args: Any) -> tuple[str, str]:
    with pytest.raises(CallerError) as caught:
        await dispatch(whole.gateway, {"type": type, **args}, "test")
    return caught.value.status, str(caught.value)


async def test_a_start(whole: Whole, autojump_clock: MockClock) -> None:
    async with whole.lives() as nursery:
        registers(whole)
        replies: list[Reply] = []

        async def start() -> None:
            replies.append(await ask(whole, "start", imei=X, long="0500", key="k"))

        nursery.start_soon(start)
        await trio.sleep(1)
        whole.says()
        await trio.sleep(1)
        [reply] = replies
        assert list(reply)[:6] == ["status", "message", "imei", "type", "long", "command"]
        assert (reply["status"], reply["message"], reply["long"]) == ("200", "started", 500)
        record = await ask(whole, "command", command=reply["command"])
        assert list(record)[:14] == COMMAND_FIELDS
        assert (record["status"], record["state"], record["key"]) == ("200", "ended", "k")
        assert str(record["sent_at"]).endswith("Z")
        assert record["late_at"] is None
        status = await ask(whole, "status", imei=X)
        assert set(status) >= DEVICE_FIELDS
        assert status["online"] is True
        assert status["address"] == "1.2.3.4:5678"
        assert status["last"] == record
        assert str(status["running_until"]).startswith("2023-11-14T22:21:41")


async def test_a_start_that_is_not_waited_for(whole: Whole, autojump_clock: MockClock) -> None:
    async with whole.lives():
        registers(whole)
        reply = await ask(whole, "start", imei=X, long=5, wait=False)
        assert reply["status"] == "000"
        record = await ask(whole, "command", command=reply["command"])
        assert (record["status"], record["state"]) == ("000", "sent")
        status = await ask(whole, "status")
        assert set(status) >= STATUS_FIELDS
        assert (status["in_flight"], status["waiting"], status["registered"]) == (1, 0, 1)


@pytest.mark.parametrize(
    ("imei", "status"), [(NOBODY, "300"), (OFF, "401"), (X, "404")], ids=["300", "401", "404"]
)
async def test_what_cannot_be_sent(
    whole: Whole, autojump_clock: MockClock, imei: str, status: str
) -> None:
    async with whole.lives():
        reply = await ask(whole, "start", imei=imei, long=5)
        assert reply["status"] == status
        assert "nothing was sent" in str(reply["message"])
        record = await ask(whole, "command", command=reply["command"])
        assert (record["status"], record["state"], record["sent_at"]) == (status, "ended", None)


async def test_a_conflict_has_the_fields_of_a_reply(
    whole: Whole, autojump_clock: MockClock
) -> None:
    async with whole.lives():
        registers(whole)
        await ask(whole, "start", imei=X, long=5, key="k", wait=False)
        reply = await ask(whole, "start", imei=X, long=6, key="k")
        assert (reply["status"], reply["long"], reply["command"]) == ("409", 6, None)


@pytest.mark.parametrize(
    ("type", "args", "field"),
    [
        ("start", {}, "imei"),
        ("start", {"imei": X}, "long"),
        ("start", {"imei": X, "long": 86401}, "long"),
        ("start", {"imei": X, "long": 5, "key": 5}, "key"),
        ("start", {"imei": X, "long": 5, "timeout": 301}, "timeout"),
        ("start", {"imei": X, "long": 5, "expires": -1}, "expires"),
        ("start", {"imei": X, "long": 5, "wait": "no"}, "wait"),
        ("stop", {"imei": "1"}, "imei"),
        ("stop", {"imei": X, "cancel": 1}, "cancel"),
        ("status", {"imei": 5}, "imei"),
        ("devices", {"online": "yes"}, "online"),
        ("devices", {"after": 5}, "after"),
        ("devices", {"limit": 0}, "limit"),
        ("devices", {"site": "\x00"}, "site"),
        ("history", {"imei": "x"}, "imei"),
        ("history", {"state": "over"}, "state"),
        ("command", {}, "command"),
        ("command", {"command": "\ud800"}, "command"),
        ("cancel", {"command": 5}, "command"),
        ("watch", {"events": ["device.lost"]}, "events"),
        ("watch", {"after": -1}, "after"),
        ("tap", {}, "imei"),
        ("fly", {}, "type"),
    ],
)
async def test_a_bad_field_names_itself(
    whole: Whole, autojump_clock: MockClock, type: str, args: dict[str, Any], field: str
) -> None:
    async with whole.lives():
        status, text = await refused(whole, type, **args)
        assert status == "400"
        assert text.startswith(f"{field}: ")


async def test_an_unknown_type_is_answered_with_the_nearest(
    whole: Whole, autojump_clock: MockClock
) -> None:
    async with whole.lives():
        _, text = await refused(whole, "strat", imei=X, long=5)
        assert text == "type: no operation is called 'strat'; did you mean start?"
        _, text = await refused(whole, "zzz")
        assert text.startswith("type: one of start, stop, ")
        assert text.endswith(" expected, not 'zzz'")


async def test_devices_and_history_are_pages(whole: Whole, autojump_clock: MockClock) -> None:
    async with whole.lives():
        registers(whole, Y)
        first = await ask(whole, "devices", limit=2)
        items: Any = first["items"]
        assert [item["imei"] for item in items] == [OFF, X]
        second = await ask(whole, "devices", limit=2, after=first["next"])
        items = second["items"]
        assert [(item["imei"], item["online"]) for item in items] == [(Y, True)]
        assert second["next"] is None
        assert [
            item["imei"] for online in (True, False)
            for item in (await ask(whole, "devices", online=online))["items"]  # type: ignore[attr-defined]
        ] == [Y, OFF, X]  # fmt: skip
        ids = [(await ask(whole, "start", imei=X, long=5))["command"] for _ in range(3)]
        got: list[object] = []
        after: object = None
        while True:
            page = await ask(whole, "history", imei=X, limit=2, after=after)
            items = page["items"]
            got += [item["command"] for item in items]
            if (after := page["next"]) is None:
                break
        assert sorted(got, key=str) == sorted(ids, key=str)


async def test_cancelling(whole: Whole, autojump_clock: MockClock) -> None:
    async with whole.lives():
        deferred = await ask(whole, "start", imei=X, long=5, expires=60, wait=False)
        assert deferred["status"] == "000"
        reply = await ask(whole, "cancel", command=deferred["command"])
        assert reply["status"] == "200"
        assert (await refused(whole, "cancel", command=deferred["command"]))[0] == "409"
        assert (await refused(whole, "cancel", command="nobody"))[0] == "400"
        record = await ask(whole, "command", command=deferred["command"])
        assert record["status"] == "410"


async def test_cancelling_is_not_said_to_be_done_before_it_is_on_disk(
    whole: Whole, autojump_clock: MockClock
) -> None:
    """A gateway that was killed then would send it, and its caller would have been paid back."""
    async with whole.lives():
        deferred = await ask(whole, "start", imei=X, long=5, expires=60, wait=False)
        whole.writer.away = "locked"
        with pytest.raises(StoreError, match="not on disk yet") as caught:
            await ask(whole, "cancel", command=deferred["command"])
        assert caught.value.outcome == "unknown"
        assert whole.stored(str(deferred["command"]))["state"] == "waiting"
        whole.writer.away = ""
        await flushed(whole.writer)
        assert whole.stored(str(deferred["command"]))["status"] == "410"


async def test_watching(whole: Whole, autojump_clock: MockClock) -> None:
    async with whole.lives():
        await ask(whole, "start", imei=X, long=5)
        stream = await dispatch(
            whole.gateway, {"type": "watch", "after": 0, "events": "command"}, "test"
        )
        assert isinstance(stream, Stream)
        assert stream.reply["status"] == "200"
        async with aclosing(stream.lines) as lines:
            first = await anext(lines)
            assert (first["type"], first["status"], first["event"]) == ("command.ended", "404", 1)
            registers(whole)
            await ask(whole, "start", imei=X, long=5, wait=False)
            with trio.fail_after(60):
                got = [(await anext(lines))["type"] for _ in range(2)]
        assert got == ["command.accepted", "command.sent"]


async def test_a_command_survives_its_caller(whole: Whole, autojump_clock: MockClock) -> None:
    async with whole.lives():
        registers(whole)
        with trio.move_on_after(1):
            await ask(whole, "start", imei=X, long=5)
        await wait_all_tasks_blocked()
        assert whole.dispatcher.in_flight == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from([X, OFF, "5", "0500", "k", 5, "device", "1m", "\ud800", "\x00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)  # fmt: skip
names = st.sampled_from(
    ["imei", "long", "key", "timeout", "expires", "wait", "cancel", "after", "limit", "online",
     "site", "events", "command", "state", "unit", "running", "csv", "id", "name", "phone", "qr",
     "enabled", "find", "unregistered", "webhook", "from", "to", "url", "secret", "new_secret"]
)  # fmt: skip
requests = st.builds(
    lambda type, fields: {**fields, "type": type},
    st.sampled_from(sorted(OPERATIONS)) | json_values,
    st.dictionaries(names | st.text(max_size=5), json_values, max_size=6).map(
        lambda fields: {"imei": X, **fields}
    ),
)


@pytest.fixture(scope="module")
def clocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        follow_trios_clock(patch)
        yield


@pytest.mark.usefixtures("clocks")
@given(st.lists(requests | st.dictionaries(st.text(), json_values), max_size=12))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_object_has_a_reply(one_store: Database, asked: list[dict[str, Any]]) -> None:
    """A reply, a stream, or an error that says whose fault it is: never anything else."""
    emptied(one_store)

    async def go() -> None:
        whole = Whole(one_store)
        whole.know()
        async with whole.lives():
            registers(whole)
            for args in asked:
                try:
                    reply = await dispatch(whole.gateway, args, "test")
                except DevgateError:
                    continue
                if isinstance(reply, Stream):
                    await reply.lines.aclose()
                    reply = reply.reply
                assert isinstance(reply["status"], str)
                assert len(reply["status"]) == 3
        await whole.poller.aclose()

    trio.run(go, clock=MockClock(autojump_threshold=0))
