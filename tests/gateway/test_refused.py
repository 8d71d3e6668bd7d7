"""Refusals are counted always and logged seldom."""

from __future__ import annotations

import logging

import pytest

from devgate.gateway.refusals import MAX_ADDRESSES, QUIET_SECONDS, Refusals


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_one_line_a_minute_for_each_address(caplog: pytest.LogCaptureFixture) -> None:
    """M7: each refusal is counted; an address has one line a minute, which says what it lacks."""
    caplog.set_level(logging.INFO)
    clock = Clock()
    refusals = Refusals(clock)
    for _ in range(1000):
        refusals.refuse("http", "token", "192.0.2.1")
    refusals.refuse("control", "role", "192.0.2.2", source="tcp:shop", operation="remove")
    assert refusals.counts.refused["http", "token"] == 1000
    assert refusals.counts.refused["control", "role"] == 1
    assert len(caplog.records) == 2
    said = "door=control why=role address=192.0.2.2 source=tcp:shop operation=remove skipped=0"
    assert caplog.messages[1] == f"refused {said}"
    clock.now += QUIET_SECONDS
    refusals.refuse("http", "token", "192.0.2.1")
    assert caplog.messages[2].endswith("skipped=999")


def test_an_ipv6_customer_is_one_address(caplog: pytest.LogCaptureFixture) -> None:
    """M7: 2^64 addresses of one customer write one line."""
    refusals = Refusals(Clock())
    for number in range(1000):
        refusals.refuse("http", "token", f"2001:db8:1:2::{number:x}")
    assert len(caplog.records) == 1


def test_what_is_remembered_of_peers_has_a_bound() -> None:
    """M7: peers of many addresses cost no more memory than MAX_ADDRESSES of them."""
    refusals = Refusals(Clock())
    for number in range(MAX_ADDRESSES + 100):
        refusals.refuse("http", "token", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(refusals._quiet) == MAX_ADDRESSES
