"""Addresses: those that the gateway listens at, and those that its webhooks post to."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from devgate.config.settings import Settings
from devgate.control.client import NoGateway, ask
from devgate.doctor.finding import Finding, Findings, error, ok, warning
from devgate.doctor.running import RunningGateway
from devgate.errors import DoorInUse, SetupError
from devgate.model import host_port
from devgate.net.addresses import bind

CONNECT_SECONDS = 3.0
MAX_WEBHOOKS = 50


def examine(settings: Settings, running: RunningGateway | None) -> Findings:
    """Whether each listen address belongs to the gateway, or is free if none runs."""
    found = []
    for key, address in _addresses(settings):
        found += list(_answers(key, address) if running else _free(key, address))
    yield from found or [ok("ports", "all answer" if running else "all are free")]


def _addresses(settings: Settings) -> Iterator[tuple[str, str]]:
    for key in ("device", "control", "http"):
        for address in getattr(settings, key).listen:
            if not address.endswith(":0"):
                yield f"{key}.listen", address


def _answers(key: str, address: str) -> Findings:
    host, port = host_port(address)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.strip("[]"), host.strip("[]"))
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError as err:
        yield error(
            "ports",
            f"the gateway runs, and nobody answers at {key} {address}: {reason(err)}",
            "restart it if its configuration has changed; else see its log",
        )


def _free(key: str, address: str) -> Findings:
    try:
        for sock in bind(address):
            sock.close()
    except DoorInUse as err:
        yield error("ports", f"{key}: {err}", f"see who has it: ss -ltnp | grep {address}")
    except SetupError as err:
        yield error("ports", f"{key}: {err}", f"change {key}, or see the sentence")


def socket_file(path: str, mode: int) -> Findings:
    """The control socket of the gateway that runs: who may open it. `mode` is the configured."""
    found, folder = os.stat(path), os.stat(os.path.dirname(path) or ".")
    now = stat.S_IMODE(found.st_mode)
    reached = folder.st_mode & stat.S_IXOTH or (
        folder.st_mode & stat.S_IXGRP and folder.st_gid == found.st_gid
    )
    if now != mode:
        yield warning(
            "socket",
            f"{path} has mode {now:04o}, and control.mode says {mode:04o}",
            f"set it: chmod {mode:04o} {path}",
        )
    elif mode & stat.S_IWGRP and not reached:
        where = os.path.dirname(path)
        yield warning(
            "socket",
            f"the socket's group may open {path}, and may not enter {where}",
            f"let it in: chgrp {found.st_gid} {where} && chmod g+x {where}",
        )
    else:
        yield ok("socket", f"{path} has mode {now:04o}")


def webhooks(settings: Settings, socket_path: str, running: RunningGateway | None) -> Findings:
    """Whether each receiver can be reached, and problems that the gateway reports."""
    urls = {one.called: one.url for one in settings.webhook}
    if running:
        yield from _reported(socket_path, urls)
    names = list(urls)[:MAX_WEBHOOKS]
    with ThreadPoolExecutor(8) as pool:
        yield from pool.map(lambda name: _reach(name, urls[name]), names)


def _reported(path: str, urls: dict[str, str]) -> Findings:
    try:
        reply = ask(path, {"type": "webhooks"})
    except NoGateway:
        return
    for one in reply.get("items") or []:
        if one["state"] == "unusable":
            words = f"the webhook {one['name']} cannot be used: {one['error']}"
            yield warning(
                "webhooks", words, "docs/manual.md, Back up and restore, has the key file"
            )
            continue
        urls[one["name"]] = one["url"]
        if one["state"] in ("disabled", "failing"):
            yield warning(
                "webhooks",
                f"the webhook {one['name']} is {one['state']}, {one['lag']:,} events behind: "
                f"{one['error']}",
                f"mend the receiver, then `devgate webhooks test {one['name']}`",
            )


def _reach(name: str, url: str) -> Finding:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    where = f"the receiver of the webhook {name}, {parts.hostname}:{port},"
    try:
        socket.create_connection((parts.hostname or "", port), CONNECT_SECONDS).close()
    except OSError as err:
        return warning(
            "webhooks", f"{where} cannot be reached: {reason(err)}", "mend the URL or the network"
        )
    return ok("webhooks", f"{where} can be reached")


def reason(err: OSError) -> str:
    """Why, in the system's words."""
    if isinstance(err, TimeoutError) or err.errno == errno.ETIMEDOUT:
        return "no answer"
    return (err.strerror or str(err)).lower()
