"""The gateway that runs on this machine, if there is one: seen from outside."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from devgate.config.settings import Settings
from devgate.control.client import NoGateway, ask
from devgate.doctor.finding import Findings, error, ok, warning
from devgate.errors import SetupError
from devgate.store.engines import make_engine
from devgate.store.postgres_url import shown

CHECK = "gateway"


class RunningGateway(NamedTuple):
    """A gateway that answers at the control socket."""

    pid: int  # 0: unknown, because it is an older version
    status: dict[str, Any]  # its reply to `status`

    def descriptors(self) -> int | None:
        """Its soft limit of open files. None: this user may not read it."""
        try:
            text = Path(f"/proc/{self.pid}/limits").read_text()
        except OSError:
            return None
        found = re.search(r"^Max open files\s+(\d+)", text, re.MULTILINE)
        return int(found[1]) if found else None


def find(path: str) -> RunningGateway | None:
    """The gateway at this control socket; None if none answers there."""
    try:
        status = ask(path, {"type": "status"})
    except NoGateway:
        return None
    return RunningGateway(int(status.get("pid") or 0), status)


def examine(path: str, running: RunningGateway | None, version: str) -> Findings:
    """Whether a gateway answers, and the problems that it reports."""
    if running is None:
        why, action = _why_not(path)
        yield warning(CHECK, why, action)
        return
    status = running.status
    if status.get("status") != "200":
        yield error(
            CHECK,
            f"the gateway at {path} answers {status.get('status')}: {status.get('message')}",
            "run `devgate doctor` as root or as the gateway's own user",
        )
        return
    if (store := status.get("store")) != "ok":
        yield error(CHECK, f"no start is accepted: {store}", "see the log for when it began")
    if held := status.get("quarantine"):
        yield error(
            CHECK,
            f"quarantine: every start is refused: {held['reason']}",
            "`devgate quarantine allow` lists keys that were never tried; `devgate quarantine "
            "lift` ends it",
        )
    for name, state in dict(status.get("background") or {}).items():
        if state != "ok" and str(store) not in state:  # which was said
            yield warning(CHECK, f"the task '{name}' has failed: {state}", "see the log")
    if (clock := status.get("clock")) not in (None, "ok"):
        yield warning("clock", str(clock), "look at `date`; if it is right: `devgate trim`")
    for node in status.get("nodes") or []:
        if not node["alive"]:
            yield warning(
                CHECK,
                f"the node {node['id']} is dead",
                f"start it; if it is gone for good: `devgate nodes remove {node['id']}`",
            )
        elif node["version"] != status.get("version"):
            yield warning(
                CHECK,
                f"the node {node['id']} is devgate {node['version']}, and this one is "
                f"{status.get('version')}",
                "give all nodes the same version, one after the other",
            )
    if (other := status.get("version")) not in (None, version):
        yield warning(
            CHECK,
            f"the gateway that runs is devgate {other}, and this program is {version}",
            "restart the gateway so that both are the same",
        )
    if store == "ok" and not status.get("quarantine"):
        yield ok(CHECK, f"it runs and takes starts (process {running.pid})")


def same(path: str, running: RunningGateway, settings: Settings) -> Findings:
    """Whether the gateway uses the examined configuration, and its database."""
    action = (
        "name the gateway's own configuration with --config; if that was changed, restart the "
        "gateway"
    )
    try:
        its = ask(path, {"type": "settings"})
    except NoGateway:
        return  # it has ended meanwhile
    if its.get("status") == "200" and _real(its["file"]) != _real(settings.file):
        yield warning(
            CHECK,
            f"the gateway works by {_named(its['file'])}, and what is examined here is "
            f"{_named(settings.file)}",
            action,
        )
    database = str(running.status.get("database") or "")
    try:
        named = _as_shown(settings.store.url)
    except SetupError:  # which is said of the database
        return
    if database and database != named:
        yield warning(
            CHECK,
            f"the gateway works with the database {database}, and the configuration that is "
            f"examined names {named}",
            action,
        )


def _real(file: str | None) -> str | None:
    return None if file is None else os.path.realpath(file)


def _as_shown(url: str) -> str:
    """A database's URL in the form that a gateway shows: SQLite's file without links."""
    file = url.removeprefix("sqlite:///")
    if file != url:
        return f"sqlite:///{os.path.realpath(file)}"
    engine = make_engine(url)
    engine.dispose()
    return shown(engine.url)


def _named(file: str | None) -> str:
    return "its defaults, without a file" if file is None else file


def hidden(path: str) -> bool:
    """Whether a gateway may run that this user may not connect to."""
    return os.path.exists(path) and not os.access(path, os.W_OK)


def _why_not(path: str) -> tuple[str, str]:
    if hidden(path):
        return (
            f"this user may not speak to the gateway at {path}",
            "run `devgate doctor` as root, or as a member of the socket's group",
        )
    return (
        f"no gateway answers at {path}: what only a running one knows was not examined",
        "start it (`systemctl start devgate`), or name its socket with --socket",
    )
