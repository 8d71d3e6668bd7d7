"""README's snippets branch on `outcome`: each of the six, as a real gateway answers it (D1)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import READMES, blocks
from tests.docs.test_snippets import php
from tests.e2e.caller import Robot, knowing
from tests.e2e.device import WAIT_SECONDS
from tests.e2e.harness import Gateway, environment


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    with knowing({"command": {"ack_timeout": WAIT_SECONDS}}) as running:
        yield running


_NUMBERS = iter(range(40))


@pytest.fixture
def imei() -> str:
    return f"860000000000{next(_NUMBERS):03}"


Case = tuple[str, str | None, dict[str, object], str, str]
CASES: tuple[Case, ...] = (
    # outcome, what the machine answers, changes to the snippet, what PHP prints, Python prints
    ("done", "200", {}, "running", "running"),
    ("pending", "200", {"wait": False}, "under way", "pending accepted"),
    ("failed", "201", {}, "the machine said no: the device says that it failed", "not started:"),
    ("unknown", "", {}, "unknown", "unknown sent, but no answer came in time"),
    ("refused", None, {}, "not started: the device is not connected", "not started: the device"),
    ("conflict", "200", {"again": "501"}, "used for 01", "conflict key:"),
)


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_the_snippets_tell_all_six_outcomes_apart(
    served: Gateway,
    imei: str,
    page: Path,
    case: Case,
) -> None:
    """D1: a 409 was printed as "not started" while the machine ran. Each outcome has its branch,
    and asking again with the same key takes the same one."""
    name, answer, changes, php_says, python_says = case
    [php_code], [python_code] = blocks(page, "php"), blocks(page, "python")
    php_code = php_code.replace("860000000000001", imei).replace("order-5001", f"php-{imei}")
    python_code = python_code.replace("860000000000002", imei).replace("order-5002", f"py-{imei}")
    if changes.get("wait") is False:
        php_code = php_code.replace("'type' => 'start',", "'type' => 'start', 'wait' => false,")
        python_code = python_code.replace('type="start",', 'type="start", wait=False,')

    def say(program: list[str], code: str) -> str:
        done = subprocess.run(
            program, input=code, cwd=served.folder, env=environment(served.folder),
            capture_output=True, text=True, timeout=WAIT_SECONDS,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def both() -> None:
        printed = say([php()], php_code)
        assert printed.startswith(php_says), printed
        if name == "conflict":
            assert printed.endswith("which is done\n"), "the earlier one has its own outcome"
        assert say([sys.executable, "-"], python_code).startswith(python_says)

    if answer is None:
        both()
        return
    if name == "unknown":
        served.ask({"type": "edit", "imei": imei, "ack_timeout": 0.5})
    with Robot(served, imei, answer or None) as device:
        if name == "conflict":
            say([php()], php_code)
            say([sys.executable, "-"], python_code)
            php_code = php_code.replace("0500", "0501")
            python_code = python_code.replace("long=500", "long=501")
        both()
        seen = list(device.seen)
        if name != "pending":
            both()
        assert device.seen == seen, "asking again starts nothing"
