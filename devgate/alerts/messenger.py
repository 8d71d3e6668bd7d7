"""One message to one receiver through Apprise, in a process of its own.

Apprise waits in threads that nothing can end, connects to whatever a URL names, and knows URLs
that read files. So it runs beside the gateway: the process is killed when it takes too long, and
`sandbox` keeps it from private addresses, files and other programs. It reads one JSON object from
standard input and writes one to standard output.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import re
import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from devgate.webhooks.public_addresses import is_public, not_public

MAX_REQUEST = 256 * 1024  # bytes
MAX_SENTENCE = 300  # characters
# A little behind the gateway: a message takes 0.3 s of the processor. With a value of 10 that
# became 26 s on a machine with a load of 18. A message has 30 s, and must arrive from such a
# machine, too.
NICE = 4
LIMITS: Mapping[int, int] = {
    resource.RLIMIT_CPU: 20,  # seconds
    resource.RLIMIT_CORE: 0,
    # Apprise reads answers of any size, and unpacks them. It needs about 50 MB itself.
    resource.RLIMIT_DATA: 256 * 1024 * 1024,  # bytes
}
MIN_SECRET_LENGTH = 6  # characters: what is shorter hides nothing

# Python's own files, and system files that its modules read; elsewhere on its path only code.
READABLE = (
    sys.prefix, sys.base_prefix, "/usr/share/zoneinfo", "/etc/mime.types", "/dev/null",
    "/dev/urandom",
)  # fmt: skip
CODE = (".py", ".pyc", ".so")
# Events of sys.audit() that sending a message never needs.
NEVER = frozenset((
    "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.spawn", "os.remove",
    "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.link", "os.symlink", "os.truncate",
    "subprocess.Popen", "socket.bind", "socket.sendto", "socket.sendmsg", "shutil.rmtree",
))  # fmt: skip


class SandboxError(PermissionError):
    """Something that this process may not do."""


class Sandbox:
    """Limits what this process may do, from raise_() on. It cannot be undone."""

    def __init__(self, *, allow_private: bool, permit: str) -> None:
        self._allow_private = allow_private
        self._permit = permit
        self.refused: str | None = None  # the last thing that was refused

    def begin(self) -> None:
        """Begin to refuse."""
        sys.addaudithook(self._audit)

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            self._connect(args[1])
        elif event == "open":
            self._open(args[0], args[1])
        elif event in NEVER:
            self._refuse(f"a message may not do this: {event}")

    def _connect(self, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        try:
            found = ipaddress.ip_address(str(host).split("%")[0])
        except ValueError:
            self._refuse("a connection to something that is no address")
        if not self._allow_private and not is_public(found):
            self._refuse(not_public(str(found), self._permit))

    def _open(self, path: object, mode: object) -> None:
        if isinstance(path, int) or path is None:
            return
        text = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
        reads = mode is None or not any(sign in str(mode) for sign in "wax+")
        known = any(text == one or text.startswith(one + "/") for one in READABLE)
        if not reads or not (known or text.endswith(CODE)):
            self._refuse("a message may not open files")

    def _refuse(self, sentence: str) -> None:
        self.refused = sentence
        raise SandboxError(sentence)


class Complaints(logging.Handler):
    """Collects what Apprise says of a failed delivery."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line."""
        self.lines.append(" ".join(record.getMessage().split()))


def deliver(request: Mapping[str, Any]) -> dict[str, Any]:
    """Send what is asked, or look at the URL alone where there is no text."""
    url = str(request["url"])
    complaints = Complaints()
    logger = logging.getLogger("apprise")
    logger.addHandler(complaints)
    logger.propagate = False
    import apprise

    asset = apprise.AppriseAsset(
        async_mode=False, app_id="devgate", app_desc="devgate", secure_logging=True
    )
    sandbox = Sandbox(allow_private=bool(request["allow_private"]), permit=str(request["permit"]))
    # All modules of Apprise are read here, the URL is not followed yet.
    service: Any = apprise.Apprise.instantiate("mailto://user:pass@example.com", asset=asset)
    sandbox.begin()
    try:
        service = apprise.Apprise.instantiate(url, asset=asset)
        if service is None:
            return {"ok": False, "text": without_secrets(_last(complaints), url) or _WRONG}
        service.verify_certificate = True
        service.retry = 0
        shown = str(service.url(privacy=True)).partition("?")[0]
        if "text" not in request:
            return {"ok": True, "text": str(service.service_name), "shown": shown}
        target = apprise.Apprise(asset=asset)
        target.add(service)
        sent: Any = target.notify(
            body=str(request["text"]), title=str(request["title"]),
            notify_type=request["kind"], body_format=apprise.NotifyFormat.TEXT,
        )  # fmt: skip
    except Exception as err:
        sent = None
        complaints.lines.append(f"{type(err).__name__}: {err}")
    if sent:
        return {"ok": True, "text": "it took the message"}
    text = sandbox.refused or without_secrets(_last(complaints), url)
    return {"ok": False, "text": text or "it did not take the message, and nothing says why"}


_WRONG = "the URL is not complete; docs/manual.md shows some, under Alerts"


def _last(complaints: Complaints) -> str:
    return "; ".join(complaints.lines[-2:])[:MAX_SENTENCE]


def without_secrets(text: str, url: str) -> str:
    """The text without the parts of the URL, except the name of its host."""
    location = url.partition("://")[2]
    host = ""
    if "@" in location or urlsplit(url).scheme.startswith("mailto"):
        host = urlsplit(url).hostname or ""
    both = location, unquote(location)
    words = {word for part in both for word in re.split(r"[/?&=@:#,;]+", part)}
    for word in sorted(words, key=len, reverse=True):
        if len(word) >= MIN_SECRET_LENGTH and word.lower() != host.lower():
            text = text.replace(word, "...")
    return text


def main() -> None:
    """Deliver one message, as standard input says."""
    with suppress(OSError):  # systemd may not allow it
        os.nice(NICE)
    for what, limit in LIMITS.items():
        with suppress(OSError, ValueError):  # the limit is lower already
            resource.setrlimit(what, (limit, limit))
    request = json.loads(sys.stdin.buffer.read(MAX_REQUEST))
    out = os.dup(sys.stdout.fileno())
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whatever a library prints
    answer = deliver(request)
    os.write(out, json.dumps(answer).encode())
    os._exit(0)  # does not wait for threads


if __name__ == "__main__":
    main()
