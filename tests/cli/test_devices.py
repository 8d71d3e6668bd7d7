"""`devgate devices` beside a gateway that runs: it does the work, by its socket."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator

import pytest

from devgate.store.device import RECORD
from tests.e2e.caller import knowing
from tests.e2e.harness import Gateway

A, B, C = "860000000000001", "860000000000002", "777000000000001"
# Somebody who can open the socket, and is neither root nor the gateway's user.
MEMBER = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    with knowing({"control": {"mode": "0666"}}) as running:
        running.folder.chmod(0o755)
        yield running


def source_of_last(gateway: Gateway, type: str) -> str:
    events = gateway.ask({"type": "events", "events": type, "limit": 1000})["items"]
    return str(events[-1]["source"])


def test_devices_from_the_first_to_the_last_by_the_socket(served: Gateway) -> None:
    """D20: `devices add` and so on wrote into the database themselves."""
    added = served.cli("devices", "add", C, "--name", "雷 5", "--phone", "555", "--disabled")
    assert (added.returncode, added.stdout.split(" as number ")[0]) == (0, f"added {C}")
    assert source_of_last(served, "device.added") == "socket"
    again = served.cli("devices", "add", C)
    assert (again.returncode, again.stdout) == (9, "")
    assert "is there already" in again.stderr
    assert served.cli("devices", "enable", C, A).stdout == f"enabled {C}, {A}\n"
    assert served.cli("devices", "edit", C, "--phone", "", "--ack-timeout", "1m").returncode == 0
    assert source_of_last(served, "device.changed") == "socket"
    known = json.loads(served.cli("devices", "show", C, "--json").stdout)
    assert known | {"id": 0} == {
        "status": "200", "imei": C, "id": 0, "name": "雷 5", "site": "", "phone": None, "qr": None,
        "unit": "seconds", "ack_timeout": 60, "enabled": True, "online": False, "since": None,
        "address": None, "heard": None, "running_until": None, **dict.fromkeys(RECORD),
    }  # fmt: skip
    missing = served.cli("devices", "disable", A, "777000000000009", "--json")
    assert (missing.returncode, json.loads(missing.stdout)["status"]) == (5, "300")
    assert served.status(A)["enabled"], "all or none"
    assert served.cli("devices", "remove", C, "--yes").stdout == f"removed {C}\n"
    assert served.cli("devices", "show", C).returncode == 5


def test_a_file_larger_than_a_request_is_tried_and_then_taken(served: Gateway) -> None:
    """D6: a preview says what would change, and names every line that is wrong."""
    rows = [f"7780000000{n:05},机器 {n},East" for n in range(3000)]
    file = served.folder / "many.csv"
    file.write_text("\n".join(["imei,name,site", *rows, "12,x,y", f"{A},Bay,North,", rows[0], ""]))
    tried = served.cli("devices", "import", str(file), "--dry-run")
    assert (tried.returncode, tried.stdout) == (2, "")
    assert tried.stderr.splitlines() == [
        "devgate: line 3002: imei: a string of 15 digits expected, not '12'",
        "devgate: line 3003: 3 columns expected, as in the header, not 4",
        "devgate: line 3004: imei: 778000000000000 is on line 2 already",
        "devgate: 3 lines are wrong: nothing would be taken",
    ]
    assert served.cli("devices", "import", str(file)).stderr.startswith("devgate: line 3002: ")
    file.write_text("\n".join(["imei,name,site", *rows, f"{A},Bay,North", ""]))
    hint = (
        "devgate: --on-conflict update changes the devices that are there already, and "
        "--on-conflict skip leaves them as they are"
    )
    for option in ((), ("--dry-run",)):  # a wrong line as any other: 2, and not 9 as of `add`
        refused = served.cli("devices", "import", str(file), *option)
        first, second, *_ = refused.stderr.splitlines()
        assert (refused.returncode, first) == (2, hint)
        assert second == f"devgate: line 3002: imei: {A} is there already, and not the same"
    assert served.cli("devices", "add", A).returncode == 9
    how = ("--on-conflict", "update")
    tried = served.cli("devices", "import", str(file), *how, "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert tried.stdout.splitlines()[-1] == "3000 to add, 1 to change, 0 there already"
    assert f"{A}  site: - -> North" in tried.stdout.splitlines()
    assert served.ask({"type": "devices", "q": "778"})["items"] == [], "nothing was written"
    taken = served.cli("devices", "import", str(file), *how)
    assert taken.stdout == "3000 added, 1 updated, 0 there already\n"
    exported = served.cli("devices", "export", "many-again.csv")
    assert exported.returncode == 0, exported.stderr
    text = (served.folder / "many-again.csv").read_text("utf-8")
    assert text.count("\n7780000000") == 3000
    again = served.cli("devices", "import", "many-again.csv").stdout
    assert again.startswith("0 added, 0 updated, 3")


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root for another user"
)
def test_a_member_of_the_sockets_group_has_its_role(served: Gateway) -> None:
    """D20: a user of the socket got exit code 12: another user owned the folder."""
    for words in (("list",), ("show", B), ("export",)):
        assert served.cli("devices", *words, through=MEMBER).returncode == 0
    refused = served.cli("devices", "add", C, through=MEMBER)
    assert (refused.returncode, refused.stdout) == (8, "")
    assert "the control socket's group may command only ([control] role)" in refused.stderr
    assert served.cli("start", B, "5m", through=MEMBER).returncode == 6, "it is not connected"
    served.configure({"control": {"mode": "0666", "role": "admin"}})
    served.signal(signal.SIGHUP)
    served.logged("settings reloaded", "control.role")
    assert served.cli("devices", "add", C, through=MEMBER).returncode == 0
    assert served.cli("devices", "remove", C, "--yes", through=MEMBER).returncode == 0
    served.socket.chmod(0o600)
    try:
        shut_out = served.cli("devices", "add", C, through=MEMBER)
    finally:
        served.socket.chmod(0o666)
    assert shut_out.returncode == 13, "a gateway runs: its database is not touched"
    assert "no permission to use the control socket" in shut_out.stderr
