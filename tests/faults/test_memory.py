"""The process has no memory left: it goes on or ends, and never lives on without doors."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

import pytest

from tests.e2e.caller import Caller, Robot, eventually, knowing
from tests.e2e.harness import Gateway, Json

IMEI = "860000000000001"
MEBIBYTE = 1 << 20


def limit(served: Gateway, more: int | None) -> None:
    """Let the process have `more` bytes beyond what it uses; None: as many as it wants."""
    assert served.process is not None
    pid = served.process.pid
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[0])
    size = resource.RLIM_INFINITY
    if more is not None:
        size = pages * resource.getpagesize() + more
    resource.prlimit(pid, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


def asked(served: Gateway, requests: list[Json]) -> list[Json]:
    """Replies to requests that are asked at once, as far as there are any."""
    callers: list[Caller] = []
    replies: list[Json] = []
    try:
        for request in requests:
            with contextlib.suppress(OSError):
                callers.append(Caller(served))
                callers[-1].send(**request)
        for caller in callers:
            with contextlib.suppress(OSError):
                replies.append(caller.line())
    finally:
        for caller in callers:
            caller.close()
    return replies


def state(served: Gateway) -> str:
    """Of its store; "ended" if the process has, and "" while it is at that, or has no memory."""
    assert served.process is not None
    if served.process.poll() is not None:
        return "ended"
    try:
        status = served.ask({"type": "status"})
        return "" if status.get("draining") else str(status.get("store", ""))
    except (OSError, ValueError):
        return ""


@pytest.mark.parametrize("more", [0, 2 * MEBIBYTE, 8 * MEBIBYTE])
def test_f9_without_memory_the_process_serves_or_ends(more: int) -> None:
    """F9 (d): 30 requests for `history` and some starts; the process lived on with all of its
    sockets closed, and outcomes that callers had been told were not on record. Where a fault ends
    it and no thread's result arrives any more, the guard does not wait for `drain`."""
    with knowing({"command": {"drain": 300}}) as served, Robot(served, IMEI):
        for n in range(3):
            assert served.ask({"imei": IMEI, "type": "start", "long": 5})["status"] == "200", n
        limit(served, more)
        reads = [{"type": "history", "limit": 1000}] * 30
        starts = [
            {"imei": IMEI, "type": "start", "long": 5, "key": f"order-{n}"} for n in range(5)
        ]
        replies = [asked(served, [*reads[:15], start, *reads[15:]]) for start in starts]
        done = {
            reply["command"]: reply["status"]
            for some in replies
            for reply in some
            if reply.get("outcome") == "done"
        }
        assert served.process is not None
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it has ended
            limit(served, None)
        if eventually(lambda: state(served), lambda state: state in ("ok", "ended")) == "ok":
            assert served.ask({"imei": IMEI, "type": "stop"})["status"] == "200"
            served.kill()
        served.log_file.write_text("")  # with tracebacks that belong there
        served.start()
        for id, status in done.items():
            assert served.ask({"type": "command", "command": id})["status"] == status
