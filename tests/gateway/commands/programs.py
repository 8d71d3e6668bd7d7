"""Programs for quickly.World: one for each rule, and any number by chance.

python -m tests.gateway.commands.programs NUMBER [SEED]: NUMBER random ones, until one fails.
"""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Iterable
from itertools import islice

import pytest
import trio
from trio.testing import MockClock

from tests.gateway.clocks import follow_trios_clock
from tests.gateway.commands.quickly import World

# protocol.md section 4, rule by rule.
RULES = {
    "a result settles the one in flight": "start +1 201 1=201 start 202 2=202",
    "it may come within late_window": "start +10.1 1=408 +59.9 200 1=200late",
    "and not later": "start +10.1 1=408 +60.1 200 1=408",
    "a stop's result settles no start": "start ST200 1=sent 200 1=200",
    "a 408 whose bytes never arrived yields": (
        "deaf start +10.1 online start 200 2=200 1=408 200 1=200late"
    ),
    "behind a load balancer nobody knows that": (
        "relayed deaf start +10.1 relayed start 200 2=sent 200 1=200late 2=200"
    ),
    "bytes later than T behind the acknowledgement: it yields": (
        "start +10.1 +10.1 beat start 200 2=200 1=408"
    ),
    "bytes within T behind the acknowledgement: it does not": (
        "start +10.1 +9.7 beat start 200 2=sent"
    ),
    "T counts from when the acknowledgement was seen": (
        "deaf start +10.1 hears +12 beat start 200 2=sent"
    ),
    "T is the command's own timeout where that is longer": (
        "start:15 +15.1 +10.1 beat start 200 2=sent 201 1=200late 2=201"
    ),
    "T is the device's own ack_timeout where that is longer": (
        "own:25 start:2 +2.1 +20 beat start 200 2=sent 201 1=200late 2=201"
    ),
    "bytes later than T on a later connection: it yields": (
        "start +10.1 online +10.1 beat start 200 2=200 1=408"
    ),
    "bytes within T on a later connection: it does not": (
        "start +10.1 online +9.7 beat start 200 2=sent"
    ),
    "a later connection may have ended": (
        "start +10.1 online +10.1 beat online start 200 2=200 1=408"
    ),
    "its own connection is no later one": (
        "start 200 online +31.1 start:2.3 +2.4 beat start 200 3=sent"
    ),
    "whether it arrived is looked at when its connection ends": (
        "start:2.3 +1 online +1.4 start 200 2=sent 201 1=200late 2=201"
    ),
    "a restart forgets acknowledgements": "deaf start +10.1 restart start 200 2=sent",
    "it is decided once": (
        "start +2 restart start:2.3 +2.4 +10.1 beat start 200 3=200 200 2=200late"
    ),
    "a yielded one waits until nothing newer is open": (
        "start +10.1 +10.1 beat start +10.1 200 2=200late 1=408 200 1=200late"
    ),
    "it has yielded after a restart, too": (
        "start:2.3 +2.4 +10.1 beat start 200 2=200 restart start 201 3=201 1=408"
    ),
    "results of a group are held until all are there": (
        "start:2.3 +2.4 start:2.3 +2.4 start 200 201 3=sent 202 1=200late 2=201late 3=202"
    ),
    "later bytes and reconnects do not change a group": (
        "start +10.1 start:45.7 +31.1 beat online 200 2=sent 201 1=200late 2=201"
    ),
    "late_window does not change a group": (
        "start +10.1 +45 start:45.7 +31.1 200 2=sent 201 1=200late 2=201"
    ),
    "a repeated result whose acknowledgement was lost is the same one": (
        "start:2.3 +2.4 start deaf 200 online 200 2=sent +10.1 1=408? 2=408?"
    ),
    "one whose acknowledgement arrived is another": (
        "start:2.3 +2.4 start 200 online 200 1=200late 2=200"
    ),
    "another status is another result": (
        "start:2.3 +2.4 start deaf 200 online 201 1=200late 2=201"
    ),
    "fewer answers belong to none, and the next is judged by its own": (
        "start:2.3 +2.4 start 200 +10.1 1=408? 2=408? start 201 3=201 200 1=408? 2=408?"
    ),
    "nor are they open after a restart": (
        "start:2.3 +2.4 start 200 +10.1 restart start 201 3=201 1=408? 2=408?"
    ),
    "nor is an older one open": (
        "start:2.3 +2.4 +10.1 beat start:2.3 +2.4 start 200 +10.1 2=408? 3=408? start +10.1 "
        "200 4=200late 201 1=408"
    ),
    "the missing answer settles all within late_window": (
        "start:2.3 +2.4 start 200 +10.1 +59.8 201 1=200late 2=201late"
    ),
    "and not later, whatever restarts": (
        "start:2.3 +2.4 start 200 +10.1 +31.1 restart +31.1 201 1=408? 2=408?"
    ),
    "and not if another one was sent": (
        "start:2.3 +2.4 start 200 +10.1 start +10.1 201 3=201late 1=408? 2=408?"
    ),
    "nothing held at the deadline: a 408 as any": (
        "start:2.3 +2.4 start +10.1 200 1=200late 201 2=201late"
    ),
    "a stop goes out while results are held": (
        "start:2.3 +2.4 start stop 3=waiting 200 3=sent ST200 3=200 201 1=200late 2=201"
    ),
    "a disconnect drops no held result": (
        "start:2.3 +2.4 start 200 offline +5 online 201 1=200late 2=201"
    ),
    "a restart takes the group up": (
        "start:2.3 +2.4 start:45.7 200 restart 1=408? 2=408? 201 1=200late 2=201late"
    ),
    "the end of a drain is the deadline": (
        "start:2.3 +2.4 start:45.7 200 drain 1=408? 2=408? 201 1=200late 2=201late"
    ),
}

# Parts of programs. Spans are uneven, so that no two deadlines ever meet.
PARTS: dict[str, int] = {  # each with its weight
    "start:2.3 +2.41": 6,
    "start +10.171": 2,
    "start:45.7 +0.073": 1,
    "start": 4,
    "start +0.913 200": 2,
    "200": 8,
    "201": 3,
    "200 online 200": 1,
    "deaf 200 online 200": 2,
    "deaf 200 online 201": 1,
    "deaf start:2.3 +2.41 online": 3,
    "deaf start:2.3 +0.913 online": 2,
    "deaf": 1,
    "hears": 1,
    "beat": 3,
    "+0.073": 2,
    "+3.317": 2,
    "+10.913 beat": 4,
    "+31.09": 2,
    "+58.77": 1,
    "online": 3,
    "relayed": 1,
    "offline +1.07 online": 1,
    "offline": 1,
    "stop": 1,
    "stop +0.391 ST200": 2,
    "ST201": 1,
    "restart": 2,
    "restart:31.7": 1,
    "start +0.913 200 +10.171 restart:31.7 +31.09 201": 1,
    "+58.77 +3.317 200": 1,
    "drain": 1,
    "own:25": 1,
    "own:": 1,
    "prune": 2,
}


def programs(seed: int) -> Iterable[list[str]]:
    """Without an end. The same ones for the same seed."""
    rng = random.Random(seed)
    parts, weights = list(PARTS), list(PARTS.values())
    while True:
        chosen = rng.choices(parts, weights, k=rng.randint(5, 16))
        yield " ".join(chosen).split()


def run(program: Iterable[str]) -> None:
    """Raises AssertionError where the gateway does not do what the reference says."""

    async def go() -> None:
        await World().live(program)

    trio.run(go, clock=MockClock())


def failure(program: Iterable[str]) -> Exception | None:
    try:
        run(program)
    except Exception as err:
        return err
    return None


def shortened(program: list[str]) -> list[str]:
    """A program that fails, without all words that it fails without."""
    again = True
    while again:
        again = False
        for place in reversed(range(len(program))):
            shorter = program[:place] + program[place + 1 :]
            if failure(shorter) is not None:
                program, again = shorter, True
    return program


def search(seed: int, limit: int) -> list[str] | None:
    """The first of `limit` programs that fails; None: none does."""
    return next((one for one in islice(programs(seed), limit) if failure(one) is not None), None)


if __name__ == "__main__":  # see above
    follow_trios_clock(pytest.MonkeyPatch())
    logging.disable(logging.CRITICAL)
    numbers = [*map(int, sys.argv[1:]), random.randrange(1 << 32)]
    found = search(numbers[1], numbers[0])
    print(f"seed {numbers[1]}:", "nothing found" if found is None else " ".join(shortened(found)))
    sys.exit(found is not None)
