"""All tests run twice: requests are read by a task, and by the poller."""

from __future__ import annotations

import pytest

from tests.control.harness import Ways


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if hasattr(metafunc.module, "serving"):
        metafunc.parametrize("ways", [False, True], ids=["task", "poller"], indirect=True)


# Used by every test of its own accord: a name that is added to a test's fixtures later is a
# parameter, and the fixture does not run.
@pytest.fixture(autouse=True)
def ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ways, "by_poller", getattr(request, "param", False))
