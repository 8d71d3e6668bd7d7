"""Sends messages: each by a process of Apprise, or as a signed POST. Number and time are bounded,
so that no receiver delays another one or the gateway."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from time import time
from typing import Any, NamedTuple

import trio

from devgate.alerts.schemes import WEBHOOK, scheme_of
from devgate.config.webhook import key_of
from devgate.webhooks.signature import body
from devgate.webhooks.webhooks import PERMIT_ADDED

TIMEOUT_SECONDS = 30.0  # seconds for one message, whatever its receiver does
# Processes at once: each usually takes 50 MB for less than a second. Receivers that took too long
# the last time have places of their own, so that the others need not wait for them.
QUICK, SLOW = 4, 2
# Variables that the process inherits: they lead to Python's modules, and none can be a secret.
INHERITED = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "TZDIR", "LANG")

NOTICES: Mapping[str, str] = {"fired": "warning", "cleared": "success", "test": "info"}


class SendResult(NamedTuple):
    """The result of sending a message."""

    ok: bool
    text: str  # a sentence for a person, without secrets
    slow: bool = False  # it took too long
    shown: str = ""  # the URL without its secrets, where that was asked


class Letter(NamedTuple):
    """A message as one receiver gets it."""

    id: str
    kind: str  # of NOTICES
    title: str
    text: str
    rule: str = ""
    data: Mapping[str, object] = {}  # what a webhook gets besides


class Courier:
    """Sends letters. Belongs to one trio run."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._quick = trio.CapacityLimiter(QUICK)
        self._slow = trio.CapacityLimiter(SLOW)

    async def send(
        self, url: str, secret: str, letter: Letter, *, slow: bool = False
    ) -> SendResult:
        """Send one letter. `slow`: the receiver took too long the last time."""
        if scheme_of(url) in WEBHOOK:
            return await self._post(url, secret, letter)
        request = {"title": letter.title, "text": letter.text, "kind": NOTICES[letter.kind]}
        async with self._slow if slow else self._quick:
            return await self._run(url, request)

    async def look(self, url: str) -> SendResult:
        """Check the URL with Apprise. Nothing is sent."""
        async with self._quick:
            return await self._run(url, {})

    async def _run(self, url: str, request: Mapping[str, object]) -> SendResult:
        given = {
            "url": url, "allow_private": self._allow_private, "permit": PERMIT_ADDED, **request,
        }  # fmt: skip
        try:
            with trio.fail_after(TIMEOUT_SECONDS):
                done = await trio.run_process(
                    [sys.executable, "-P", "-m", "devgate.alerts.messenger"],
                    stdin=json.dumps(given).encode(), capture_stdout=True, capture_stderr=True,
                    check=False, deliver_cancel=_kill, env=_environment(), cwd="/",
                )  # fmt: skip
        except trio.TooSlowError:
            return SendResult(False, f"it took longer than {TIMEOUT_SECONDS:g} s", slow=True)
        except OSError as err:
            return SendResult(False, f"no process for the message could be made: {err.strerror}")
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            # The text of a library may contain the URL: only the kind of the error is reported.
            kind = last[0].partition(":")[0][:60] if last else f"exit code {done.returncode}"
            return SendResult(False, f"the process for the message failed: {kind}")
        return SendResult(
            answer["ok"], _plain(answer["text"]), shown=_plain(answer.get("shown", ""))
        )

    async def _post(self, url: str, secret: str, letter: Letter) -> SendResult:
        # Imported here, because a gateway without alerts does not need its library.
        # Reading the system's authorities takes a while, too.
        poster = await trio.to_thread.run_sync(_poster, url, key_of(secret), self._allow_private)
        try:
            data = {"title": letter.title, "text": letter.text, "rule": letter.rule, **letter.data}
            done = await poster.post(
                f"alert_{letter.id}", body(f"alert.{letter.kind}", time(), data)
            )
        finally:
            with trio.move_on_after(1) as scope:
                scope.shield = True
                await poster.aclose()
        return SendResult(done.kind == "delivered", done.text)


def _plain(text: str) -> str:
    """Remove from a receiver's text what databases refuse: NUL, or half a surrogate pair."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def _poster(url: str, key: bytes, allow_private: bool) -> Any:
    from devgate.webhooks.poster import Poster

    return Poster(url, key, allow_private=allow_private, permit=PERMIT_ADDED, max_connections=1)


async def _kill(process: trio.Process) -> None:
    process.kill()


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | {
        "LC_ALL": "C.UTF-8"
    }
