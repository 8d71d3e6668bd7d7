"""`devgate maintenance` and `--test`: what is asked of the gateway, and what is said."""

from __future__ import annotations

import time

import pytest

from tests.cli.answering import IMEI, OTHER, Answering
from tests.cli.conftest import Run


def test_what_is_asked(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [{"status": "200", "message": "done"}]
    assert run("maintenance", "on", IMEI, OTHER, "--reason", "works").stdout == "done\n"
    run("maintenance", "on", "--site", "north", "--until", "2099-01-31T12:00+00:00")
    run("maintenance", "off", "--site", "north")
    run("maintenance", "off", IMEI)
    run("start", IMEI, "5", "--test", "--key", "k")
    assert gateway.requests == [
        {"type": "maintenance_on", "imeis": [IMEI, OTHER], "reason": "works"},
        {"type": "maintenance_on", "site": "north", "until": 4073544000},
        {"type": "maintenance_off", "site": "north"},
        {"type": "maintenance_off", "imeis": [IMEI]},
        {"type": "test_start", "imei": IMEI, "long": 5, "key": "k"},
    ]
    before = time.time()
    run("maintenance", "on", IMEI, "--for", "2h")
    assert before - 1 <= gateway.requests[-1]["until"] - 7200 <= time.time()


@pytest.mark.parametrize(
    "args",
    [("on",), ("on", IMEI, "--site", "x"), ("on", IMEI, "--for", "1h", "--until", "2099-01-01"),
     ("off",)],
)  # fmt: skip
def test_what_makes_no_sense_is_not_asked(
    run: Run, gateway: Answering, args: tuple[str, ...]
) -> None:
    assert run("maintenance", *args).exit_code == 2
    assert gateway.requests == []


def test_the_list(run: Run, gateway: Answering) -> None:
    said = {"reason": "works", "since": "2025-01-31T12:00:00.000Z", "source": "web:anna"}
    gateway.answer = lambda request: [{
        "status": "200", "next": f"imei:{IMEI}", "items": [
            {"imei": None, "name": None, "site": "south", **said, "until": None},
            {"imei": IMEI, "name": "Bay 4", "site": "north", **said,
             "until": "2099-01-31T12:00:00.000Z"},
        ],
    }]  # fmt: skip
    got = run("maintenance", "list", "--limit", "2")
    assert got.exit_code == 0
    site, machine = got.stdout.splitlines()[1:]
    assert site.startswith("south  (the whole site)")
    assert "somebody ends it" in site
    assert machine.startswith(f"north  {IMEI}")
    assert "2099-01-31 12:00:00Z" in machine
    assert f"--after 'imei:{IMEI}'" in got.stderr
    gateway.answer = lambda request: [{"status": "200", "next": None, "items": []}]
    assert run("maintenance", "list").stdout == "nothing is in maintenance\n"
