"""The detail of an event, besides the device and the time, as JSON."""

from __future__ import annotations

import json
import math

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from devgate.gateway import details
from devgate.gateway.command import Command, Order
from devgate.gateway.details import command_front, encoded
from devgate.model import Called, Imei
from devgate.store.device import Device
from tests.gateway.rig import Rig, X, ask

VALUES = (
    st.none() | st.booleans() | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text() | st.text().map(Imei) | st.lists(st.text(), max_size=2)
)  # fmt: skip
NAMES = st.sampled_from(("kind", "long", "key", "source", "message", "count"))
CALLED = st.none() | st.builds(Called, st.integers(0), st.text(), st.text())


@given(st.dictionaries(NAMES, VALUES))
def test_it_is_what_the_library_writes(detail: dict[str, object]) -> None:
    assert encoded(detail) == dumps(detail)


def test_half_a_surrogate_pair_becomes_what_a_database_takes() -> None:
    found = encoded({"reason": "a\ud800b\udfff", "name": "王芳 😀", "many": ["\ud800"]})
    assert found.encode().decode() == found
    assert json.loads(found) == {
        "reason": "a\ufffdb\ufffd", "name": "王芳 😀", "many": ["\ufffd"],
    }  # fmt: skip


def test_what_json_lacks_is_refused() -> None:
    """In the table it would break every reply that has this event."""
    with pytest.raises(ValueError, match="JSON"):
        encoded({"seconds": math.inf})


@given(
    called=CALLED,
    type=st.sampled_from(("start", "stop")),
    long=st.none() | st.integers(0),
    key=st.none() | st.text(),
    source=st.text(),
    status=st.sampled_from(("200", "202", "408", "423", "503")),
    message=st.none() | st.text(),
    why=st.none() | st.text(),
    flags=st.tuples(st.booleans(), st.booleans()),
)
def test_so_is_what_the_events_of_a_command_tell(
    called: Called | None,
    type: str,
    long: int | None,
    key: str | None,
    source: str,
    status: str,
    message: str | None,
    why: str | None,
    flags: tuple[bool, bool],
) -> None:
    command = Command("c1", Order(X, type, long, key, source=source), 1.0)
    common = {
        **(called._asdict() if called else dict.fromkeys(("id", "name", "site"))),
        "kind": type, "long": long, "key": key, "source": source,
    }  # fmt: skip
    front = command_front(command, called)
    for make in details.accepted, details.sent:
        assert make(command, front, 2.0).values[4] == dumps(
            {**common, "outcome": "pending", "late": False}
        )
    command.ends(status, 2.0, message if status != "423" else message or "refused")
    command.why, command.new_address = why, flags[0]
    at, *names, text = details.ended(command, front, 2.0).values
    assert (at, names) == (2.0, ["command.ended", X, "c1"])
    assert text == dumps({
        **common, "outcome": command.outcome, "late": False, "status": status,
        "message": command.message, "why": why, "new_address": flags[0],
    })  # fmt: skip
    command.late = flags[1]
    assert details.settled_late(command, front, 3.0).values[4] == dumps({
        **common, "outcome": command.outcome, "late": flags[1], "status": status,
        "new_address": flags[0],
    })  # fmt: skip
    assert details.ambiguous([command], called).values[4] == dumps({
        **dict(list(common.items())[:3]), "commands": [{"command": "c1", "key": key}],
        "source": source, "outcome": "unknown", "late": False,
    })  # fmt: skip


async def test_an_event_has_the_name_that_the_device_had_then(rig: Rig) -> None:
    def named(name: str) -> None:
        rig.directory.put(Device(X, 16, name=name, site="Hall 2"))

    async with rig.lives() as nursery:
        named("Chair 4")
        rig.online()
        ask(rig, nursery)
        await trio.testing.wait_all_tasks_blocked()
        named("Chair 5")
        assert rig.says()
        await trio.testing.wait_all_tasks_blocked()
        rig.directory.remove(X)
        ask(rig, nursery)
        await trio.testing.wait_all_tasks_blocked()
    called = [
        (event.type, *list(json.loads(event.detail).values())[:3])
        for event in rig.published
        if event.type.startswith("command.")
    ]
    assert called[:3] == [
        ("command.accepted", 16, "Chair 4", "Hall 2"),
        ("command.sent", 16, "Chair 4", "Hall 2"),
        ("command.ended", 16, "Chair 5", "Hall 2"),
    ]


async def test_what_its_events_have_in_common_is_encoded_once(rig: Rig) -> None:
    """Not for each event of a command, and again only when the device has another name."""
    command = Command("c1", Order(X, "start", 5), 1.0)
    front = rig.records._front(command)
    assert rig.records._front(command) is front
    rig.directory.put(Device(X, 16, name="Chair 4"))
    assert rig.records._front(command) != front
    assert rig.records._front(command) is rig.records._front(command)


def dumps(detail: object) -> str:
    return json.dumps(detail, ensure_ascii=False, separators=(",", ":"))
