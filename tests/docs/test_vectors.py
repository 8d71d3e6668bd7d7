"""docs/vectors.json, played against a real gateway; and the code for firmware, compiled."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT
from tests.e2e.caller import Caller
from tests.e2e.device import Device
from tests.e2e.harness import SAMPLE, Gateway, gateway

DISABLED = "123456787654322"
FILE = json.loads((ROOT / "docs" / "vectors.json").read_text("utf-8"))
VECTORS: list[dict[str, Any]] = FILE["vectors"]
ROWS = [
    {"imei": SAMPLE, "id": 16, "enabled": "true"},
    {"imei": DISABLED, "id": 17, "enabled": "false"},
]


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    with gateway({}, devices=ROWS) as running:
        yield running


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_conversation_goes_as_it_stands_there(served: Gateway, vector: dict[str, Any]) -> None:
    with Device(served.device) as device, Caller(served) as caller:
        for step in vector["steps"]:
            [(what, value)] = step.items()
            if what == "device":
                device.send(value.encode("latin-1"))
            elif what == "gateway":
                device.expect(value.encode("latin-1"))
            elif what == "order":
                caller.send(imei=SAMPLE, **value)
            elif what == "outcome":
                assert caller.line()["outcome"] == value
            else:
                assert (what, value) == ("closed", True)
                device.expect_end()
        if registers(vector):
            # Nothing else came: what comes next answers this.
            device.expect_nothing(SAMPLE)
    served.until(SAMPLE, "online", False)  # or the next one would be a takeover


def registers(vector: dict[str, Any]) -> bool:
    return {"gateway": f"023200{SAMPLE}HT"} in vector["steps"]


def test_the_vectors_have_each_answer_of_the_protocol() -> None:
    seen = {step["gateway"][3:6] + step["gateway"][21:23] for vector in VECTORS
            for step in vector["steps"] if step.get("gateway")}  # fmt: skip
    wanted = ("200HT", "300HT", "401HT", "401TN", "200TN", "200QR", "404", "000QD", "000ST")
    assert {*wanted, "200QD", "200ST"} <= seen
    assert {step["outcome"] for vector in VECTORS for step in vector["steps"] if "outcome" in step}


def test_the_code_for_firmware_cuts_what_the_gateway_sends(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (Debian: apt-get install gcc)")
    program = tmp_path / "frames"
    subprocess.run(
        [compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", "-DTRY", "-o", str(program),
         str(ROOT / "docs" / "examples" / "firmware" / "frames.c")],
        check=True,
    )  # fmt: skip
    sent = [step["gateway"] for vector in VECTORS for step in vector["steps"] if "gateway" in step]
    frames = [frame for frame in sent if frame]
    assert len(frames) > 40
    done = subprocess.run(
        [str(program)], input="xx".join(frames), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == frames
