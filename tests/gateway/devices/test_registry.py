"""One current connection per IMEI, and devices that seem to be two."""

from __future__ import annotations

import pytest

from devgate.gateway.devices.registry import Flapping, Registry
from devgate.model import Imei
from tests.gateway.rig import X, Y


def test_the_newest_wins() -> None:
    registry: Registry[str] = Registry()
    assert registry.take_over(X, "old") is None
    assert registry.take_over(X, "old") is None, "it displaces nobody but itself"
    assert registry.take_over(X, "new") == "old"
    assert registry.get(X) == "new"
    assert len(registry) == 1


def test_a_late_goodbye_is_not_the_devices() -> None:
    registry: Registry[str] = Registry()
    registry.take_over(X, "old")
    registry.take_over(X, "new")
    assert not registry.release(X, "old")
    assert registry.get(X) == "new"
    assert registry.release(X, "new")
    assert not registry.release(X, "new")
    assert list(registry) == []


def bursts(times: list[float], takeovers: int = 5, within: float = 60) -> list[float]:
    flapping = Flapping(takeovers, within)
    return [at for at in times if flapping.taken_over(X, at)]


@pytest.mark.parametrize(
    ("times", "reported"),
    [
        ([0, 1, 2, 3], []),
        ([0, 1, 2, 3, 4], [4]),
        ([0, 1, 2, 3, 60.0], []),  # the first is no longer within
        ([0, 15, 30, 45, 59.9], [59.9]),
        ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [4]),  # once a burst
        ([0, 1, 2, 3, 4, 100, 101, 102, 103, 104], [4, 104]),
    ],
)
def test_repeated_takeovers_are_reported_once_a_burst(
    times: list[float], reported: list[float]
) -> None:
    assert bursts(times) == reported


def test_each_device_for_itself() -> None:
    flapping = Flapping(2, 60)
    assert not flapping.taken_over(X, 0)
    assert not flapping.taken_over(Y, 1)
    assert flapping.taken_over(X, 2)


def test_only_devices_of_late_are_remembered() -> None:
    flapping = Flapping(5, 60)
    for n in range(1000):
        flapping.taken_over(Imei(f"{n:015}"), float(n))
    assert len(flapping.times) <= 61
