"""What an event is, and which events a name stands for."""

from __future__ import annotations

import pytest

from devgate.events.kinds import GROUPS, KINDS, Event, must_be_known, types_of

ROW = (1.5, "command.sent", "123456787654321", "01J", '{"kind": "start"}', 7)


def test_a_row_is_an_event() -> None:
    assert Event.of(ROW) == Event(*ROW)
    assert Event.of(list(ROW)).line() == {
        "event": 7, "at": "1970-01-01T00:00:01.500Z", "type": "command.sent",
        "imei": "123456787654321", "command": "01J", "kind": "start",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([], True),
        (["command"], True),
        (["device", "command.sent"], True),
        (["device", "command.ended"], False),
        (list(GROUPS), True),
    ],
)
def test_names_stand_for_events(names: list[str], found: bool) -> None:
    assert Event.of(ROW).matches(types_of(names)) is found


def test_a_name_must_be_of_an_event_or_of_a_group() -> None:
    must_be_known([*KINDS, *GROUPS])
    with pytest.raises(ValueError, match=r"no event is called 'device.onlin'"):
        must_be_known(["device.onlin", "zzz"])
