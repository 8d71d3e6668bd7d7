"""Known devices in memory."""

from __future__ import annotations

from typing import Any

import pytest

from devgate.config.settings import ServiceSettings
from devgate.gateway.known.directory import Directory
from devgate.model import Imei
from devgate.store.device import Device
from tests.gateway.rig import NOBODY, X, Y

QR = "http://csgxjk.com/qrcode/dev/{id}"


def known(imei: Imei = X, id: int = 16, **fields: Any) -> Device:
    return Device(imei, id, **fields)


@pytest.fixture
def directory() -> Directory:
    return Directory("400-500-5620", QR)


@pytest.mark.parametrize("phone_text", [None, "123"])
def test_who_may_register(directory: Directory, phone_text: str | None) -> None:
    directory.put(known(phone=phone_text))
    assert directory.admits(X) is True
    assert directory.admits(NOBODY) is None
    directory.put(known(phone=phone_text, enabled=False))
    assert directory.admits(X) is False
    directory.remove(X)
    directory.remove(X)
    assert directory.admits(X) is None
    assert len(directory) == 0


def test_the_texts_of_the_service(directory: Directory) -> None:
    directory.put(known())
    assert directory.text(X, "TN") == b"400-500-5620"
    assert directory.text(X, "QR") == b"http://csgxjk.com/qrcode/dev/16"
    assert directory.text(NOBODY, "TN") is None
    directory.apply(ServiceSettings(phone="110", qr="{imei}/{id}/{id}"))
    assert directory.text(X, "TN") == b"110"
    assert directory.text(X, "QR") == b"123456787654321/16/16"


def test_a_device_with_texts_of_its_own(directory: Directory) -> None:
    directory.put(known(phone="电话", qr="q{id}"))
    directory.put(known(Y, 17, qr="only qr"))
    assert directory.text(X, "TN") == "电话".encode()
    assert directory.text(X, "QR") == b"q16"
    assert directory.text(Y, "TN") == b"400-500-5620"
    assert directory.text(Y, "QR") == b"only qr"


def test_no_text_at_all() -> None:
    directory = Directory("", "")
    directory.put(known())
    assert directory.text(X, "TN") is None
    assert directory.text(X, "QR") is None


def test_a_text_that_is_too_long_once_it_is_filled_in() -> None:
    for times, size in ((65, 975), (66, 0)):
        directory = Directory("1", "{imei}" * times)
        directory.put(known())
        assert len(directory.text(X, "QR") or b"") == size


@pytest.mark.parametrize("phone", [None, "own"])
@pytest.mark.parametrize("unit", ["seconds", "times"])
@pytest.mark.parametrize("enabled", [True, False])
def test_what_a_number_counts(
    directory: Directory, phone: str | None, unit: str, enabled: bool
) -> None:
    directory.put(known(id=2**31 - 1, phone=phone, unit=unit, enabled=enabled))
    assert directory.counts_times(X) is (unit == "times")
    assert directory.admits(X) is enabled
    assert directory.text(X, "QR") == b"http://csgxjk.com/qrcode/dev/2147483647"
    assert not directory.counts_times(NOBODY)


def test_loading_many(directory: Directory) -> None:
    directory.load(known(Imei(f"{n:015}"), n) for n in range(1000))
    assert len(directory) == 1000
    assert directory.text(Imei("000000000000999"), "QR") == b"http://csgxjk.com/qrcode/dev/999"
