"""The common case ahead of the general one answers as the general one does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devgate.config.device import DeviceSettings
from devgate.config.settings import ServiceSettings
from devgate.gateway.devices.connection import Connection
from devgate.gateway.devices.desk import Desk
from devgate.gateway.devices.presence import Presence
from devgate.gateway.devices.registry import Flapping
from devgate.net.link import Link
from devgate.net.poller import Poller
from devgate.protocol.frames import encode
from devgate.protocol.quick import LONE
from tests.gateway.rig import Rig, X, Y, opened
from tests.protocol.samples import noise


class Noting(Link):
    """A link that notes what is sent."""

    __slots__ = ("sent",)

    def __init__(self) -> None:
        super().__init__(-1, "127.0.0.1:1")
        self.sent = b""

    def send(self, wire: bytes) -> bool:
        self.sent += wire
        return True


class Plain(Desk):
    """Knows no common case."""

    def _quick(self, connection: Connection, data: bytes) -> bool:
        return False


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with opened(tmp_path_factory.mktemp("store")) as database:
        yield Rig(database)


def answers(
    kind: type[Desk], rig: Rig, reads: list[tuple[float, bytes]]
) -> list[tuple[bytes, bytes, int, str]]:
    """What is sent, kept and counted after each read of a device that has registered."""
    presence = Presence(rig.records, Flapping(5, 60))
    poller = Poller()
    desk = kind(poller, DeviceSettings(), rig.directory, presence, rig.dispatcher, rig.records)
    link = Noting()
    connection = Connection(link, desk.lifetimes, 0.0)
    connection.session.imei = X
    connection.request_start = b"023000" + X.encode()
    now, seen = 0.0, []
    for past, data in reads:
        now += past
        desk.receive(connection, data, now)
        seen.append(
            (link.sent, connection.decoder.tail, connection.session.malformed, connection.why)
        )
        assert connection.heard == now or connection.why
    poller._epoll.close()
    return seen


own_request = st.sampled_from([encode("000", X, c) for c in ("HT", "TN", "QR", "XX", "QD")])
others = st.sampled_from([encode("000", Y, c) for c in ("HT", "TN")])
alone = st.sampled_from(list(LONE))
reads = st.lists(
    st.tuples(
        st.sampled_from([0.01, 1.0, 9.99, 10.0, 55.0]),
        st.one_of(
            own_request,
            alone,
            others,
            st.lists(own_request | others | alone, max_size=4).map(b"".join),
            noise,
        ).filter(bool),
    ),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reads)
def test_the_quick_way_answers_as_the_plain_one(
    parts: Rig, reads: list[tuple[float, bytes]]
) -> None:
    assert answers(Desk, parts, reads) == answers(Plain, parts, reads)


@pytest.mark.parametrize("data", [encode("000", X, "TN"), encode("000", X, "HT") * 3, b"1", b"AT"])
def test_the_common_case_is_taken(
    parts: Rig, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the general way was taken")

    monkeypatch.setattr("devgate.protocol.decoder.Decoder.feed", never)
    assert answers(Desk, parts, [(1.0, data)])[0][3] == ""


def test_a_device_without_a_text_is_answered_alike(parts: Rig) -> None:
    parts.directory.apply(ServiceSettings(phone="", qr=""))
    try:
        got = answers(Desk, parts, [(1.0, encode("000", X, "TN")), (1.0, encode("000", X, "QR"))])
        assert got[-1][0] == encode("300", X, "TN") + encode("300", X, "QR")
    finally:
        parts.directory.apply(
            ServiceSettings(phone="400-500-5620", qr="http://csgxjk.com/qrcode/dev/{id}")
        )
