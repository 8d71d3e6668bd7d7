"""All of it holds whether a task or the poller hears what callers say."""

from __future__ import annotations

import pytest

from tests.control.harness import Ways


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if hasattr(metafunc.module, "serving"):
        metafunc.fixturenames.append("ways")
        metafunc.parametrize("ways", [False, True], ids=["task", "poller"], indirect=True)


@pytest.fixture
def ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ways, "by_poller", request.param)
