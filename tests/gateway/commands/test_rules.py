"""protocol.md section 4: each of its rules, and many programs of starts and results by chance."""

from __future__ import annotations

import pytest

from tests.gateway.commands.programs import RULES, failure, run, search, shortened

pytestmark = pytest.mark.usefixtures("clocks")


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule: str) -> None:
    run(RULES[rule].split())


@pytest.mark.parametrize("seed", range(4))
def test_any_program(seed: int) -> None:
    if (program := search(seed, 1000)) is not None:
        shorter = shortened(program)
        pytest.fail(f"{' '.join(shorter)}: {failure(shorter)!r}")
