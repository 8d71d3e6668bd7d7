"""protocol.md section 3, row by row."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devgate.model import Imei
from devgate.protocol.frames import Frame, Heartbeat, Malformed, ShortEcho, encode
from devgate.protocol.session import (
    SAYS,
    TABLE,
    Answer,
    Echoed,
    Registered,
    Result,
    Says,
    Session,
    Who,
    acknowledge,
    react,
)
from tests.protocol.samples import SHORT_404, F, X, Y, all_of

OFF = Imei("000000000000001")  # known and disabled
BARE = Imei("000000000000002")  # without texts


class Shelf:
    """A book with four devices."""

    def admits(self, imei: Imei) -> bool | None:
        return {X: True, OFF: False, BARE: True}.get(imei)

    def text(self, imei: Imei, command: str) -> bytes | None:
        if imei != X:
            return None
        return {"TN": b"400-500-5620", "QR": b"http://csgxjk.com/qrcode/dev/16"}[command]


BOOK = Shelf()


def talk(session: Session, *reads: bytes) -> list[bytes]:
    """What the server sends for each of these reads, every result being claimed."""
    answers = []
    for read in reads:
        wire = b""
        for event in all_of(read):
            answer, news = react(session, event, BOOK, 0.0)
            wire += answer
            if isinstance(news, Result):
                wire += acknowledge(session, news, claimed=True, now=0.0)
        answers.append(wire)
    return answers


@pytest.mark.parametrize(
    ("bound", "says", "answer"),
    [
        # not registered
        (None, b"1", SHORT_404),
        (None, b"AT", SHORT_404),
        (None, b"023000123456787654321HT", b"023200123456787654321HT"),
        (None, b"023000999999999999999HT", b"023300999999999999999HT"),
        (None, b"023000000000000000001HT", b"023401000000000000001HT"),
        (None, b"023000123456787654321TN", SHORT_404),
        (None, b"023000123456787654321QR", SHORT_404),
        (None, b"023200123456787654321QD", SHORT_404),
        (None, b"023201123456787654321ST", SHORT_404),
        (None, b"023202123456787654321ST", SHORT_404),
        # registered as X
        (X, b"1", b""),
        (X, b"AT", b""),
        (X, b"023000123456787654321HT", b"023200123456787654321HT"),
        (X, b"023000123456787654321TN", b"035200123456787654321TN400-500-5620"),
        (
            X,
            b"023000123456787654321QR",
            b"054200123456787654321QRhttp://csgxjk.com/qrcode/dev/16",
        ),
        (BARE, b"023000000000000000002TN", b"023300000000000000002TN"),
        (BARE, b"023000000000000000002QR", b"023300000000000000002QR"),
        (X, b"023200123456787654321QD", b"023200123456787654321QD"),
        (X, b"023201123456787654321QD", b"023200123456787654321QD"),
        (X, b"023202123456787654321QD", b"023200123456787654321QD"),
        (X, b"023200123456787654321ST", b"023200123456787654321ST"),
        (X, b"023201123456787654321ST", b"023200123456787654321ST"),
        # The original's slip: our own length is right.
        (X, b"020202123456787654321ST", b"023200123456787654321ST"),
        # with Y
        (X, b"023202999999999999999QD", b"023200999999999999999QD"),
        (X, b"023202999999999999999ST", b"023200999999999999999ST"),
        (X, b"023000999999999999999HT", b"023401999999999999999HT"),
        (X, b"023000999999999999999TN", b"023401999999999999999TN"),
        (X, b"023000999999999999999QR", b"023401999999999999999QR"),
        (X, b"023200999999999999999QD", b"023401999999999999999QD"),
        (X, b"023201999999999999999ST", b"023401999999999999999ST"),
        # any: an echo
        *((who, SHORT_404, b"") for who in (None, X)),
        *(
            (who, encode(status, of, command), b"")
            for who in (None, X)
            for of in (X, Y)
            for command, statuses in {
                "HT": ("200", "300", "401"),
                "TN": ("200", "300", "401"),
                "QR": ("200", "300", "401"),
                "QD": ("000", "401"),
                "ST": ("000", "401"),
            }.items()
            for status in statuses
        ),
        # any: an odd COMMAND or STATUS, whatever its IMEI
        *(
            (who, encode(status, of, command), SHORT_404)
            for who in (None, X)
            for of in (X, Y)
            for status, command in (
                ("000", "XX"), ("200", "ZZ"), ("201", "HT"), ("202", "TN"), ("404", "QR"),
                ("203", "QD"), ("300", "ST"), ("404", "QD"), ("999", "AA"),
            )
        ),
        # any: malformed bytes
        (None, b"hello world", SHORT_404),
        (X, b"hello world", SHORT_404),
        # DATA behind HT, TN, QR and results is ignored.
        (X, b"025000123456787654321TNab", b"035200123456787654321TN400-500-5620"),
        (X, b"025200123456787654321QDab", b"023200123456787654321QD"),
        (None, b"025000123456787654321HTab", b"023200123456787654321HT"),
    ],
)  # fmt: skip
def test_the_answer_is(bound: Imei | None, says: bytes, answer: bytes) -> None:
    assert talk(Session(bound), says) == [answer]


@pytest.mark.parametrize(
    ("bound", "reads", "answers"),
    [
        (None, [b"1"], [SHORT_404]),
        (None, [b"023000123456787654321HT"], [b"023200123456787654321HT"]),
        (None, [b"AT" + b"023000123456787654321HT" + b"1"], [b"023200123456787654321HT"]),
        (X, [b" ", b"", b"AT"], [b"", b"", b""]),
        (
            X,
            [b"023000123456787654321TN023000123456787654321QR"],
            [
                b"035200123456787654321TN400-500-5620"
                b"054200123456787654321QRhttp://csgxjk.com/qrcode/dev/16"
            ],
        ),
        (X, [b"hello world", b"023000123456787654321HT"], [SHORT_404, b"023200123456787654321HT"]),
        (X, [b"023000999999999999999TN"], [b"023401999999999999999TN"]),
    ],
)
def test_the_worked_streams(bound: Imei | None, reads: list[bytes], answers: list[bytes]) -> None:
    """protocol.md section 5. (The one with a border in a frame is in test_decoder.)"""
    assert talk(Session(bound), *reads) == answers


def test_the_table_has_a_rule_for_everything() -> None:
    assert set(TABLE) == set(itertools.product(Who, Says))


@given(
    st.sampled_from(["HT", "TN", "QR", "QD", "ST", "XX"]),
    st.integers(0, 999).map("{:03}".format),
    st.sampled_from([None, X]),
    st.sampled_from([X, Y, OFF]),
)
def test_every_frame_has_an_answer(
    command: str, status: str, bound: Imei | None, imei: Imei
) -> None:
    answer = react(Session(bound), Frame(status, imei, command, b""), BOOK, 0.0)
    assert answer.wire or answer.news, "silence is for echoes, and they are news the first time"


def test_the_news_of_a_registration() -> None:
    session = Session()
    assert react(session, F, BOOK, 0).news == Registered(X)
    assert session.imei == X
    assert react(session, F, BOOK, 0).news is None, "it is no news a second time"


@pytest.mark.parametrize("imei", [Y, OFF])
def test_who_is_refused_stays_unregistered(imei: Imei) -> None:
    session = Session()
    assert react(session, F._replace(imei=imei), BOOK, 0).news is None
    assert session.imei is None


def test_an_identity_never_changes() -> None:
    session = Session(X)
    react(session, F._replace(imei=BARE), BOOK, 0)
    assert session.imei == X


@pytest.mark.parametrize("status", ["200", "201", "202"])
@pytest.mark.parametrize("command", ["QD", "ST"])
def test_the_news_of_a_result(command: str, status: str) -> None:
    got = react(Session(X), Frame(status, X, command, b""), BOOK, 0)
    assert got == Answer(b"", Result(X, command, status, X))


def test_not_me_is_about_the_device_that_says_so() -> None:
    got = react(Session(X), Frame("202", Y, "QD", b""), BOOK, 0)
    assert got.news == Result(X, "QD", "202", Y)


def test_complaints_are_a_second_apart() -> None:
    session, bad = Session(X), Malformed(b"what?")
    times = (0.0, 0.5, 0.99, 1.0, 1.5, 2.0)
    assert [react(session, bad, BOOK, t).wire for t in times] == [
        SHORT_404, b"", b"", SHORT_404, b"", SHORT_404,
    ]  # fmt: skip
    assert session.malformed == len(times), "counted nevertheless"


def test_only_a_good_frame_ends_the_count_of_malformed() -> None:
    session, bad = Session(X), Malformed(b"what?")
    react(session, bad, BOOK, 0)
    react(session, Heartbeat(), BOOK, 0)
    assert session.malformed == 1
    react(session, F, BOOK, 2.0)
    assert session.malformed == 0


@pytest.mark.parametrize(
    "echo", [ShortEcho(), Frame("200", X, "TN", b""), Frame("000", Y, "QD", b"")]
)
@pytest.mark.parametrize("bound", [None, X])
def test_an_echo_marks_the_connection_and_counts(
    bound: Imei | None, echo: ShortEcho | Frame
) -> None:
    session = Session(bound)
    assert react(session, echo, BOOK, 0) == Answer(b"", Echoed(bound))
    assert react(session, echo, BOOK, 0) == Answer(b""), "reported once"
    assert session.echoing
    assert session.malformed == 2


def receipts(*results: tuple[float, str, str, bool]) -> list[bool]:
    session = Session(X)
    return [
        acknowledge(session, Result(X, command, status, X), claimed, at) != b""
        for at, command, status, claimed in results
    ]


def test_a_result_that_nothing_claims_is_acknowledged_once_a_second() -> None:
    assert receipts(
        (0.0, "QD", "200", False), (0.9, "QD", "200", False), (1.0, "QD", "200", False),
        (1.1, "QD", "200", False),
    ) == [True, False, True, False]  # fmt: skip


def test_each_kind_and_status_has_its_own_second() -> None:
    assert receipts(
        (0.0, "QD", "200", False), (0.1, "ST", "200", False), (0.2, "QD", "201", False),
        (0.3, "QD", "202", False), (0.4, "ST", "200", False),
    ) == [True, True, True, True, False]  # fmt: skip


def test_a_result_that_a_command_claims_is_always_acknowledged() -> None:
    assert receipts(
        (0.0, "QD", "200", False), (0.1, "QD", "200", True), (0.2, "QD", "200", True)
    ) == [True, True, True]


def test_a_modem_that_echoes_does_not_talk_for_ever() -> None:
    """All that we send comes back, for a minute, ten times a second."""
    session, sent, wire = Session(X), 0, b"what?"
    for tick in range(600):
        back, wire = wire, b""
        for event in all_of(back or b"what?"):
            answer, news = react(session, event, BOOK, tick / 10)
            wire += answer
            if isinstance(news, Result):
                wire += acknowledge(session, news, claimed=False, now=tick / 10)
        sent += bool(wire)
    assert sent <= 61


def test_a_session_is_plain_values() -> None:
    """It travels in an upgrade."""
    session = Session(X)
    react(session, ShortEcho(), BOOK, 0)
    assert replace(session) == session


def test_every_status_and_command_that_is_known() -> None:
    assert len(SAYS) == 3 + 4 + 2 + 9 + 4
