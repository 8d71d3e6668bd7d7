"""The inbox of unknown outcomes as operations: what is listed, and whose verdict counts."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from devgate.errors import CallerError
from tests.gateway.operations.asking import ask
from tests.gateway.rig import Rig, X, Y
from tests.gateway.whole import Whole, registers


@pytest.fixture
async def whole(rig: Rig) -> Whole:
    whole = Whole(rig.database)
    whole.know()
    return whole


async def unknown(whole: Whole, imei: str = X, **more: Any) -> str:
    """A start that ends as 408. Returns its id."""
    reply = await ask(whole, "start", imei=imei, long=5, **more)
    assert reply["status"] == "408"
    return str(reply["command"])


async def conflict(whole: Whole, source: str, **args: Any) -> tuple[str, Any]:
    with pytest.raises(CallerError) as caught:
        await ask(whole, "resolve", source, **args)
    assert (caught.value.status, caught.value.outcome) == ("409", "conflict")
    return str(caught.value), caught.value.more


async def test_the_second_of_two_people_is_told_who_was_first(
    whole: Whole, autojump_clock: MockClock
) -> None:
    async with whole.lives():
        registers(whole)
        registers(whole, Y)
        one, other = await unknown(whole, key="order-1"), await unknown(whole, Y)
        page = await ask(whole, "unknown")
        assert [item["command"] for item in page["items"]] == [other, one]
        assert (page["count"], page["more"], page["next"]) == (2, False, None)
        assert {item["resolution"] for item in page["items"]} == {"unresolved"}
        said = {"verdict": "refunded", "note": "she called"}
        reply = await ask(whole, "resolve", commands=[one], **said)
        assert (reply["resolved"], reply["by"]) == ([one], "web:anna")
        again = await ask(whole, "resolve", commands=one, **said)
        assert again["resolved"] == [one], "no reply came, and she asks again"
        text, more = await conflict(whole, "tcp:shop", commands=[one], by="berta", verdict="ran")
        assert text.startswith("start order-1 was resolved by web:anna at 20")
        assert text.endswith("as refunded; nothing was changed")
        [item] = more["conflicts"]
        assert (item["command"], item["by"], item["verdict"]) == (one, "web:anna", "refunded")
        text, more = await conflict(whole, "tcp:shop", commands=[one, other], verdict="ran")
        assert more["resolved"] == [other]
        assert (await ask(whole, "unknown"))["items"] == []
        record = await ask(whole, "command", command=one)
        assert (record["status"], record["outcome"], record["key"]) == (
            "408",
            "unknown",
            "order-1",
        )
        assert (record["resolution"], record["verdict"]) == ("resolved", "refunded")
        assert (record["note"], record["resolved_by"]) == ("she called", "web:anna")
        story = await ask(whole, "story", command=one)
        assert story["record"] == record
        line = story["lines"][-1]
        assert (line["type"], line["key"], line["by"]) == (
            "command.resolved",
            "order-1",
            "web:anna",
        )
        assert (line["verdict"], line["status"], line["outcome"]) == ("refunded", "408", "unknown")
        assert (await ask(whole, "start", imei=X, long=5, key="order-1"))["command"] == one


async def test_an_answer_that_comes_after_the_verdict(
    whole: Whole, autojump_clock: MockClock
) -> None:
    async with whole.lives():
        registers(whole)
        one = await unknown(whole)
        await ask(whole, "resolve", "socket", commands=[one], verdict="refunded", by="anna")
        whole.says()
        page = await ask(whole, "unknown", state="contradicted")
        [item] = page["items"]
        assert (item["status"], item["late"], item["resolution"]) == ("200", True, "contradicted")
        assert item["resolved_by"] == "socket:anna"
        await ask(whole, "resolve", commands=[one], verdict="ran")
        assert (await ask(whole, "unknown"))["count"] == 0
        [item] = (await ask(whole, "unknown", state="resolved", person="anna"))["items"]
        assert (item["verdict"], item["resolution"]) == ("ran", "resolved")


async def test_one_whose_answer_came_is_settled(whole: Whole, autojump_clock: MockClock) -> None:
    async with whole.lives():
        registers(whole)
        one = await unknown(whole)
        whole.says()
        assert (await ask(whole, "unknown"))["items"] == []
        assert (await ask(whole, "command", command=one))["resolution"] == "settled"
        text, _ = await conflict(whole, "socket", commands=[one], verdict="ran")
        assert text == f"the outcome of start {one} is known, it is 200; nothing was changed"


async def test_those_that_are_ambiguous_are_resolved_together(
    whole: Whole, autojump_clock: MockClock
) -> None:
    """Two starts, one answer."""
    async with whole.lives():
        registers(whole)
        ids = [await unknown(whole)]
        reply = await ask(whole, "start", imei=X, long=6, wait=False)
        ids.append(str(reply["command"]))
        whole.says()
        await ask(whole, "start", imei=X, long=7)  # behind the one that ends without an answer
        page = await ask(whole, "unknown")
        groups = {item["command"]: item["group"] for item in page["items"] if item["ambiguous"]}
        assert groups == dict.fromkeys(ids, ids[-1])
        reply = await ask(whole, "resolve", commands=ids[:1], verdict="other", together=True)
        assert reply["resolved"] == ids


@pytest.mark.parametrize(
    ("args", "field"),
    [
        ({"verdict": "ran"}, "commands"),
        ({"commands": [], "verdict": "ran"}, "commands"),
        ({"commands": ["1"], "verdict": "ran"}, "commands"),
        ({"commands": ["0" * 26], "verdict": "ran"}, "commands"),
        ({"commands": ["0" * 26] * 201, "verdict": "ran"}, "commands"),
        ({"commands": ["0" * 26]}, "verdict"),
        ({"commands": ["0" * 26], "verdict": "maybe"}, "verdict"),
        ({"commands": ["0" * 26], "verdict": "ran", "note": "a\nb"}, "note"),
        ({"commands": ["0" * 26], "verdict": "ran", "by": ""}, "by"),
    ],
)
async def test_a_wrong_field_is_named(
    whole: Whole, autojump_clock: MockClock, args: dict[str, Any], field: str
) -> None:
    async with whole.lives():
        with pytest.raises(CallerError, match=f"^{field}: ") as caught:
            await ask(whole, "resolve", **args)
        assert caught.value.status == "400"


async def test_the_count_of_the_pages_is_new_once_somebody_has_resolved(
    whole: Whole, autojump_clock: MockClock
) -> None:
    async with whole.lives():
        registers(whole)
        one = await unknown(whole)
        count, records = whole.gateway.inbox.count, whole.gateway.records
        assert await count(records) == (1, False)
        await ask(whole, "resolve", commands=one, verdict="ran")
        assert await count(records) == (0, False)
