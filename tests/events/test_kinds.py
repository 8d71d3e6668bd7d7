"""What an event is, and which events a name stands for."""

from __future__ import annotations

import pytest

from devgate.events.kinds import GROUPS, KINDS, Event, must_be_known, types_of
from devgate.language.messages import said

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


@pytest.mark.parametrize(
    ("given", "hint", "chinese"),
    [
        ("commnd", "did you mean command?", "是否指 command"),
        ("Command.Ended", "did you mean command.ended?", "是否指 command.ended"),
        ("zzz", "there are account, alert, ", "可用的为 account, alert, "),
    ],
)
def test_an_unknown_event_is_answered_with_the_nearest(
    given: str, hint: str, chinese: str
) -> None:
    with pytest.raises(ValueError, match="no event is called") as err:
        must_be_known([given])
    assert hint in str(err.value)
    assert chinese in said("zh", str(err.value))
