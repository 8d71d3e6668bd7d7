from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from devgate.cli.main import cli
from devgate.control import client
from devgate.model import EXIT
from tests.cli.answering import ID, IMEI, Answering, Reply, Request
from tests.cli.conftest import Run, Spawn


def test_a_start_is_one_request_and_its_outcome(run: Run, gateway: Answering) -> None:
    got = run("start", IMEI, "0500")
    assert (got.exit_code, got.stdout, got.stderr) == (0, f"started (command {ID})\n", "")
    [request] = gateway.requests
    assert request.pop("key").startswith("cli-"), "a key of its own, for it was given none"
    assert request == {"imei": IMEI, "type": "start", "long": 500}


def test_an_empty_key_is_not_replaced(run: Run, gateway: Answering) -> None:
    """The gateway refuses it. With a random key instead, the same order could start twice."""
    run("start", IMEI, "500", "--key", "")
    assert [request["key"] for request in gateway.requests] == [""]


def test_every_option_of_a_start_is_a_field(run: Run, gateway: Answering) -> None:
    options = ["--key", "order-1", "--timeout", "30", "--expires", "1h", "--no-wait"]
    assert run("start", IMEI, "1h30m", *options).exit_code == 0
    assert gateway.requests == [
        {
            "imei": IMEI, "type": "start", "long": 5400, "unit": "seconds", "key": "order-1",
            "timeout": 30, "expires": 3600, "wait": False,
        }
    ]  # fmt: skip


def test_a_stop(run: Run, gateway: Answering) -> None:
    assert run("stop", IMEI).stdout == f"stopped (command {ID})\n"
    run("stop", IMEI, "--cancel-waiting", "--key", "k", "--timeout", "0.5", "--no-wait")
    assert gateway.requests == [
        {"imei": IMEI, "type": "stop"},
        {"imei": IMEI, "type": "stop", "key": "k", "timeout": 0.5, "cancel": True, "wait": False},
    ]


@pytest.mark.parametrize("status", [*EXIT, "777"])
@pytest.mark.parametrize("as_json", [False, True])
def test_every_status_has_its_exit_code(
    run: Run, gateway: Answering, status: str, as_json: bool
) -> None:
    reply = {"status": status, "message": "为什么", "command": ID}
    gateway.answer = lambda request: [reply]
    got = run("start", IMEI, "500", *["--json"] * as_json)
    assert got.exit_code == EXIT.get(status, 12)
    if as_json:
        assert (json.loads(got.stdout), got.stderr) == (reply, "")
    elif got.exit_code:
        assert (got.stdout, got.stderr) == ("", f"devgate: 为什么 (command {ID})\n")
    else:
        assert (got.stdout, got.stderr) == (f"为什么 (command {ID})\n", "")


@pytest.mark.parametrize(
    "args",
    [
        ["--socket", "{}", "--json", "stop", IMEI],
        ["stop", IMEI, "--socket", "{}", "--json"],
        ["--json", "stop", "--socket", "{}", IMEI],
        ["--socket", "/nowhere", "stop", "--json", "--socket", "{}", IMEI],
    ],
)
def test_global_options_stand_in_front_or_behind(gateway: Answering, args: list[str]) -> None:
    got = CliRunner().invoke(cli, [arg.format(gateway.path) for arg in args])
    assert got.exit_code == 0
    assert json.loads(got.stdout)["message"] == "stopped"


def test_the_gateway_is_found_by_its_configuration(
    gateway: Answering, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "gateway.toml").write_text('[control]\nsocket = "s"\n')
    file = str(folder / "gateway.toml")
    for args in (["--config", file, "stop", IMEI], ["stop", IMEI, "--config", file]):
        assert CliRunner().invoke(cli, args).exit_code == 0
    monkeypatch.setenv("DEVGATE_SOCKET", gateway.path)
    assert CliRunner().invoke(cli, ["stop", IMEI]).exit_code == 0


@pytest.mark.parametrize(
    "args", [["--config", "/nowhere.toml", "status"], ["--socket=", "status"]]
)
def test_a_bad_setup_is_one_line_and_2(args: list[str]) -> None:
    got = CliRunner().invoke(cli, args)
    assert (got.exit_code, got.stdout) == (2, "")
    assert got.stderr.startswith("devgate: --")
    assert got.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "args",
    [
        ["start"],
        ["start", IMEI],
        ["start", "12345", "500"],
        ["start", IMEI, "soon"],
        ["start", IMEI, "0"],
        ["start", IMEI, "500", "--timeout", "x"],
        ["stop", "12345678765432x"],
        ["status", "1"],
        ["fly"],
    ],
)
def test_what_cannot_be_asked_is_not_asked(run: Run, gateway: Answering, args: list[str]) -> None:
    got = run(*args)
    assert (got.exit_code, got.stdout, gateway.requests) == (2, "", [])
    assert got.stderr.startswith("Usage: ")


def test_a_wrong_configuration_is_2_also_without_a_gateway(folder: Path) -> None:
    """Not 12, also for a command that opens the database if no gateway runs."""
    (folder / "gateway.toml").write_text("[device]\nlisten = 5\n")
    got = CliRunner().invoke(cli, ["--config", f"{folder}/gateway.toml", "devices", "list"])
    assert (got.exit_code, got.stdout) == (2, "")
    assert "gateway.toml, line 2: device.listen: " in got.stderr


@pytest.mark.parametrize("long", ["15m", "500", "soon"])
def test_imei_and_long_in_the_wrong_order(
    run: Run, monkeypatch: pytest.MonkeyPatch, long: str
) -> None:
    got = run("start", long, IMEI, "--key", "k")
    hint = f"imei: a string of 15 digits expected, not '{long}'; the IMEI comes first, then LONG\n"
    assert (got.exit_code, got.stderr.endswith(hint)) == (2, True), got.stderr
    assert "comes first" not in run("start", "12345", "500").stderr
    monkeypatch.setenv("DEVGATE_LANG", "zh")
    assert got.stderr != run("start", long, IMEI).stderr
    assert run("start", long, IMEI).stderr.endswith("请先写 IMEI，再写 LONG\n")  # noqa: RUF001


def test_no_gateway_is_13(folder: Path) -> None:
    path = str(folder / "none")
    got = CliRunner().invoke(cli, ["--socket", path, "start", IMEI, "500"])
    assert (got.exit_code, got.stdout) == (13, "")
    assert got.stderr == (
        f"devgate: no gateway answers at {path}: No such file or directory; "
        "is `devgate serve` running?\n"
    )


@pytest.mark.parametrize("as_json", [False, True])
def test_a_gateway_that_dies_leaves_a_start_unknown(
    run: Run, gateway: Answering, as_json: bool
) -> None:
    """Exit code 13 would mean that nothing was sent, and a caller might start it again."""
    gateway.answer = lambda request: None
    got = run("start", IMEI, "500", *["--json"] * as_json)
    assert got.exit_code == 7
    assert "went away without an answer" in got.stderr
    assert f"devgate history {IMEI}" in got.stderr
    if as_json:
        reply = json.loads(got.stdout)
        assert (reply["status"], reply["imei"], reply["command"]) == ("408", IMEI, None)


def test_a_gateway_that_dies_while_it_is_only_read_is_13(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: None
    assert run("status").exit_code == 13


def test_a_stuck_gateway_is_not_waited_for(
    run: Run, gateway: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PROBE_SECONDS", 0.05)
    monkeypatch.setattr(client, "PROBE_TIMEOUT_SECONDS", 0.05)
    gateway.answer = lambda request: []
    got = run("start", IMEI, "500", "--key", "k")
    assert got.exit_code == 7
    assert "is stuck: it answers nobody" in got.stderr
    assert "the same again with its key" in got.stderr


def test_ctrl_c_says_that_the_start_runs_on(spawn: Spawn, gateway: Answering) -> None:
    gateway.answer = lambda request: []
    process = spawn("start", IMEI, "500")
    assert gateway.asked.wait(60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err == (
        "devgate: interrupted while waiting; the start runs on: "
        f"`devgate history {IMEI} --limit 1` shows what became of it, and the same again with "
        f"--key {gateway.requests[0]['key']} gives its result and never does it twice\n"
    )


def test_the_exit_code_holds_though_nobody_reads(spawn: Spawn, gateway: Answering) -> None:
    """`devgate start ... | true` has started the device nevertheless."""
    process = spawn("start", IMEI, "500", "--json")
    assert process.stdout
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr
    assert process.stderr.read() == ""


GATEWAY: Reply = {
    "status": "200", "version": "0.1.0", "uptime": 11520.7,
    "listen": {"device": ["127.0.0.1:12306"], "control": ["run/devgate.sock"]},
    "connections": 1003, "registered": 998, "devices": 1024, "in_flight": 2, "waiting": 1,
    "memory": 52428800, "store": "ok", "draining": False, "extra": 3,
}  # fmt: skip
DEVICE: Reply = {
    "status": "200", "imei": IMEI, "id": 16, "name": "洗衣机 3", "site": "North", "enabled": True,
    "online": True, "since": "2025-01-31T12:00:00.000Z", "address": "1.2.3.4:5678",
    "heard": "2025-01-31T12:00:00.000Z", "running_until": None,
    "last": {"status": "408", "message": "no answer in time", "type": "start", "long": 500,
             "accepted_at": "2025-01-31T12:00:00.000Z"},
}  # fmt: skip


def test_status_reads_well(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [DEVICE if "imei" in request else GATEWAY]
    got = run("status")
    assert got.exit_code == 0
    assert got.stdout.splitlines() == [
        "devgate 0.1.0, up 3 h 12 min",
        "  devices           998 registered of 1,024",
        "  connections       1,003",
        "  commands          2 in flight, 1 waiting",
        "  store             ok",
        "  memory            50 MiB",
        "  listens (device)  127.0.0.1:12306",
        "  listens (control) run/devgate.sock",
        "  extra             3",
    ]
    lines = run("status", IMEI).stdout.splitlines()
    assert lines[0] == f"{IMEI}  洗衣机 3, North  (id 16)"
    assert lines[1].startswith("  state             online since 2025-01-31 12:00:00Z (")
    assert lines[1].endswith(" ago), from 1.2.3.4:5678")
    assert lines[3] == "  runs              no"
    assert lines[4].endswith("ago): 408 no answer in time")
    assert gateway.requests == [{"type": "status"}, {"type": "status", "imei": IMEI}]
    assert json.loads(run("status", "--json").stdout) == GATEWAY


def test_status_says_that_a_device_answers_too_late(run: Run, gateway: Answering) -> None:
    slow = {"seconds": 23.4, "ack_timeout": 10.0}
    gateway.answer = lambda request: [DEVICE | {"slow": slow}]
    said = "  answers           after 23.4 s, later than ack_timeout (10 s)"
    assert said in run("status", IMEI).stdout.splitlines()
    gateway.answer = lambda request: [DEVICE | {"slow": None}]
    assert "ack_timeout" not in run("status", IMEI).stdout


def test_send_sends_exactly_these_bytes(run: Run, gateway: Answering) -> None:
    def answer(request: Request) -> list[Reply]:
        return [{"status": request["say"], "message": "Grüße"}]

    gateway.answer = answer
    raw = 'command{"say":"404"}\n  command {"say": "200", "what": "é"}'
    got = run("send", raw)
    assert gateway.raw == raw.encode()
    assert got.exit_code == 0, "of the last"
    assert [json.loads(line)["status"] for line in got.stdout.splitlines()] == ["404", "200"]
    assert run("send", "-", input=b'command{"say":"408"}').exit_code == 7
    assert gateway.raw == raw.encode() + b'command{"say":"408"}'


def test_the_exit_code_of_send_is_that_of_the_last_line_with_a_status(
    run: Run, gateway: Answering
) -> None:
    gateway.answer = lambda request: [{"status": "201"}, {"event": 5}]
    got = run("send", 'command{"type":"watch"}')
    assert (got.exit_code, got.stdout) == (3, '{"status": "201"}\n{"event": 5}\n')
