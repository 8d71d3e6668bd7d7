"""docs/protocol.md and docs/control.md against the program: frames, streams, tables, fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from devgate.access.tokens import NEEDS
from devgate.errors import outcome_of
from devgate.gateway.command import Command, Order
from devgate.gateway.command_record import record
from devgate.gateway.operations.table import OPERATIONS
from devgate.model import EXIT, NO_GATEWAY, Imei
from devgate.protocol.decoder import Decoder
from devgate.protocol.frames import Event, Frame
from devgate.protocol.session import SAYS, Says, Session, react
from tests.docs.pages import CONTROL, PROTOCOL, section, table
from tests.e2e.caller import Caller, Robot, knowing

X = Imei("123456787654321")
TEXTS = {"TN": b"400-500-5620", "QR": b"http://csgxjk.com/qrcode/dev/16"}


class Book:
    """The device of the page's examples, and no other."""

    def admits(self, imei: Imei) -> bool | None:
        return True if imei == X else None

    def text(self, imei: Imei, command: str) -> bytes | None:
        return TEXTS[command]


def test_the_example_frames_are_frames() -> None:
    """protocol.md section 1: each example is one frame, and its LEN counts all of its bytes."""
    rows = "".join("|".join(row) for row in table(section(PROTOCOL, 1), "who"))
    frames = re.findall(r"`(\d{6}[^`]+)`", rows)
    assert len(frames) >= 10
    for frame in frames:
        events = Decoder().feed(frame.encode())
        assert len(events) == 1, frame
        assert isinstance(events[0], Frame), frame
        assert int(frame[:3]) == len(frame), frame


def test_the_example_answers_are_the_real_ones() -> None:
    """protocol.md section 1: HT, TN and QR of a device, each with its answer behind "answered"."""
    pairs = re.findall(r"`(\w+)`, answered `([^`]+)`", section(PROTOCOL, 1))
    assert len(pairs) == 3
    for request, answer in pairs:
        assert talk(Session(None if "HT" in request else X), [request]) == [answer]


def test_the_slips_of_known_devices_are_frames() -> None:
    """protocol.md section 2, rules 2 and 3: the examples hold one good frame each."""
    frames = re.findall(r"`([AT\d]{2,}123456787654321(?:HT|ST)1?)`", section(PROTOCOL, 2))
    assert len(frames) == 5
    for frame in frames:
        decoder = Decoder()
        events = decoder.feed(frame.encode()) + decoder.expire()
        assert sum(isinstance(event, Frame) for event in events) == 1, frame


def streams() -> Iterator[tuple[str, list[str], list[str]]]:
    """protocol.md section 5, line by line: who speaks, what is read at once, what is answered."""
    text = section(PROTOCOL, 5)[len("## 5") :].replace("\n                     S:", " S:")
    for line in text.splitlines():
        if found := re.match(r"    (not registered|registered): +(.+?) +S: (.+)", line):
            bound, said, answers = found.groups()
            reads = ["".join(re.findall(r'"([^"]*)"', part)) for part in said.split(" | ")]
            yield bound, reads, re.findall(r"\d{6}[\w:/.-]*", answers)


def test_all_worked_streams_are_found() -> None:
    assert len(list(streams())) == 8


@pytest.mark.parametrize(("bound", "reads", "answers"), list(streams()))
def test_the_worked_streams_are_what_happens(
    bound: str, reads: list[str], answers: list[str]
) -> None:
    assert talk(Session(X if bound == "registered" else None), reads) == answers


def talk(session: Session, reads: list[str]) -> list[str]:
    """What the gateway sends to these reads, the last of which is waited behind."""
    decoder, events = Decoder(), list[Event]()
    for data in reads:
        events += decoder.feed(data.encode())
    events += decoder.expire()
    wires = (react(session, event, Book(), 0.0).wire.decode() for event in events)
    return [wire for wire in wires if wire]


def test_the_echoes_of_the_page_are_those_of_the_table() -> None:
    """protocol.md section 3: what only the gateway sends."""
    [row] = [
        row[1] for row in table(section(PROTOCOL, 3), "the connection is") if "echo" in row[1]
    ]
    listed = {
        (command, status)
        for part in row.split(";")[1:]
        for command in re.findall(r"`([A-Z]{2})`", part)
        for status in re.findall(r"\b\d{3}\b", part)
    }
    assert listed == {pair for pair, says in SAYS.items() if says is Says.ECHO}


def test_the_table_of_statuses_is_the_real_one() -> None:
    rows = table(section(CONTROL, 2), "status")
    listed = {row[0]: (row[2].strip("`"), int(row[3])) for row in rows}
    assert listed.pop("(none)") == ("", NO_GATEWAY)
    assert listed == {status: (outcome_of(status), code) for status, code in EXIT.items()}


def test_the_table_of_requests_is_the_real_one() -> None:
    """Each type, its fields in any order, and the least role that may ask for it."""
    listed = {
        row[0].strip("`"): (set(re.findall(r"`(\w+)`", row[1])), row[3].strip("`"))
        for row in table(section(CONTROL, 1), "`type`")
    }
    assert listed == {
        name: (set(operation.fields), NEEDS.get(name, "admin"))
        for name, operation in OPERATIONS.items()
    }


def sample(name: str) -> list[str]:
    """The fields of one of the samples of control.md section 1, in their order."""
    text = section(CONTROL, 1)
    [body] = re.findall(rf"^    {re.escape(name)} +(\{{.+?\}})$", text, re.MULTILINE | re.DOTALL)
    return re.findall(r'(?:^\{|,\s*)"(\w+)":', re.sub(r"(?<=:)\{[^}]*\}", "…", body))


def test_a_record_has_the_fields_of_the_page() -> None:
    command = Command("01", Order(X, "start", 500), 0.0)
    assert sample("command record") == list(record(command.row()))


def test_replies_have_the_fields_of_the_page() -> None:
    """control.md section 1: a start's reply and both statuses, of a real gateway."""
    [shown] = re.findall(
        r'^    (\{"status":"200","message":"started".+?\})$',
        section(CONTROL, 1), re.MULTILINE | re.DOTALL,
    )  # fmt: skip
    with knowing({}) as gateway, Caller(gateway) as caller:
        with Robot(gateway, "860000000000001", "200"):
            reply = caller.ask(
                type="start", imei="860000000000001", long="0500", key="order-4711", id=7
            )
        assert list(reply) == list(json.loads(shown))
        assert list(caller.ask(type="status")) == sample("status")
        device = caller.ask(type="status", imei="860000000000001")
        assert list(device) == sample("status + imei")
