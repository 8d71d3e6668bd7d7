"""The callers of scripts/bench, whose starts may come to a node that does not know the device."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import pytest
from benchmark.build import build_generator
from benchmark.errors import BenchError
from benchmark.generator import generate, options

from tests.cli.answering import Answering, Reply, Request

CALLERS = options(callers=2, beating=4, devices=4, rate=0, seconds=0.3)
MISSED: Reply = {"status": "404", "message": "not connected"}


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return build_generator(tmp_path_factory.mktemp("generator"))
    except BenchError as err:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(err))


@pytest.fixture
def gateway() -> Iterator[Answering]:
    folder = mkdtemp(prefix="dg-")  # short: the path of a socket may have 107 bytes
    answering = Answering(f"{folder}/s")
    answering.listen()
    yield answering
    answering.close()
    rmtree(folder)


def starts(generator: Path, gateway: Answering, again: float) -> int:
    """How many starts are done."""
    place = options(control=gateway.path, pids=os.getpid(), again=again)
    core = min(os.sched_getaffinity(0))
    with generate(generator, core, *place, *CALLERS, "starts") as running:
        return running.phase("starts").operations


def test_a_start_that_is_answered_404_is_asked_again(generator: Path, gateway: Answering) -> None:
    asked: dict[str, list[str]] = defaultdict(list)

    def answer(request: Request) -> Iterable[Reply]:
        asked[request["key"]].append(request["imei"])
        return [MISSED if len(asked[request["key"]]) < 3 else {"status": "200"}]

    gateway.answer = answer
    assert starts(generator, gateway, again=30)
    done = [imeis for imeis in asked.values() if len(imeis) >= 3]
    assert done
    assert all(len(imeis) == 3 and len(set(imeis)) == 1 for imeis in done), "the same start"


@pytest.mark.parametrize("again", [0, 0.1])
def test_one_that_stays_404_ends_the_bench(
    generator: Path, gateway: Answering, again: float
) -> None:
    gateway.answer = lambda request: [MISSED]
    with pytest.raises(BenchError, match="a start was answered"):
        starts(generator, gateway, again)
