"""What scripts/doctor-test breaks is found, and was not found before."""

from __future__ import annotations

import pytest
from examining.faults import FAULTS
from examining.world import Fault, examined

SHORT = {"owner", "restart-forgotten"}  # the others in test_doctor.py, all at once


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=fault.name, marks=() if fault.name in SHORT else pytest.mark.slow)
        for fault in FAULTS
    ],
)
def test_it_is_found(fault: Fault) -> None:
    if why := fault.cannot():
        pytest.skip(why)
    seen, found = examined(fault)
    assert seen is not None, found
    assert seen.action
