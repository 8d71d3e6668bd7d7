"""`devgate start`, `stop`, `status` and `send`."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, BinaryIO, NoReturn

import click

from devgate.cli import describe
from devgate.cli.asking import answer, given
from devgate.cli.output import INTERRUPTED, Where, common, emit, exit_code, fail, finish, say
from devgate.cli.params import OWN_KEY, DurationType, ImeiType, Long, SpanType, own_key
from devgate.control.client import REPLY_SECONDS, NoAnswer, ask, exact
from devgate.model import IMEI, Imei

# The longest `timeout` of control.md, and more than a command waits in its queue without
# `expires`. A gateway that dies or hangs in that time is noticed much sooner.
MAX_ANSWER_SECONDS = 300.0
MAX_QUEUE_SECONDS = 600.0

KEY = click.option(
    "--key", metavar="KEY", help="Your own name for it, such as an order number: done once only."
)
TIMEOUT = click.option(
    "--timeout", type=SpanType(), help="How long to wait for the device's answer, once it is sent."
)
NO_WAIT = click.option(
    "--no-wait", is_flag=True, help="Return when the command is safely recorded."
)


class ImeiFirst(click.Command):
    """A command that recognizes when IMEI and LONG are given in the wrong order."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's."""
        given = tuple(args)  # click removes from `args` what it reads
        try:
            return super().parse_args(ctx, args)
        except click.BadParameter as err:
            if err.param and err.param.name == "imei" and any(map(IMEI.fullmatch, given)):
                text = f"{err.message}; the IMEI comes first, then LONG"
                raise click.BadParameter(text, err.ctx, err.param) from None
            raise


@click.command(cls=ImeiFirst)
@click.argument("imei", type=ImeiType(), required=False, metavar="IMEI")
@click.argument("long", type=DurationType(), required=False, metavar="LONG")
@KEY
@TIMEOUT
@NO_WAIT
@click.option(
    "--expires", type=SpanType(), help="Keep it this long for a device that is offline or busy."
)
@click.option(
    "--from", "file", type=click.File("rb"), metavar="FILE",
    help="Start all devices of a file (imei,long,key); - is stdin.",
)  # fmt: skip
@click.option("--test", is_flag=True, help="A test by staff: also of a machine in maintenance.")
@common
def start(
    where: Where,
    imei: Imei | None,
    long: Long | None,
    key: str | None,
    timeout: float | None,
    no_wait: bool,
    expires: float | None,
    file: BinaryIO | None,
    test: bool,
) -> None:
    """Start the device IMEI for LONG, and wait for its answer.

    LONG is a number (seconds, or times for a device that counts times), or a
    duration such as 15m or 1h30m.

    \b
    Examples:
      devgate start 123456787654321 500
      devgate start 123456787654321 1h30m --key order-4711
      devgate start 123456787654321 15m --expires 1h    # wait for it to come online
      devgate start --from orders.csv
      devgate start 123456787654321 5 --test

    With --key, the same start asked again gives the same result and never starts
    the device twice: use it, and repeat as often as you like. Without one, the
    start gets a random key (cli-...), which the history shows.

    FILE holds a start a line, as CSV (imei,long,key with or without a header; the
    key may be left out) or as JSON objects with these fields. It is checked whole
    before anything is sent. Each start gives a line; the exit code is that of the
    first line of the file that failed.

    \b
    Exit codes:
       0  the device confirmed, or with --no-wait: recorded
       2  the request is wrong; nothing was done
       3  the device says it failed
       4  the device says the IMEI is not its own
       5  no such IMEI
       6  the device is not connected; nothing was sent
       7  sent, no answer in time: the outcome is unknown, the device may run
       8  the device is disabled, or no permission
       9  the key was used for another command
      10  expired while it waited; nothing was sent
      11  too many commands wait for that device
      12  the gateway failed or is stopping; nothing was sent
      13  no gateway answers
      14  the machine takes no start now; the message says why; nothing was sent
     130  Ctrl-C: the command runs on
    """
    extra = _extra(timeout=timeout, no_wait=no_wait, expires=expires)
    if file is not None:
        if imei or key:
            raise click.UsageError("--from FILE names the devices and keys; give no others.")
        if test:
            raise click.UsageError("--test is for one device, not for a file.")
        from devgate.cli.batch import run

        run(where, file, extra, reply_seconds(extra))
    if imei is None or long is None:
        raise click.UsageError(f"Missing argument '{'LONG' if imei else 'IMEI'}'.")
    type = "test_start" if test else "start"
    # An empty key is sent, and the gateway refuses it: it may come from a script's variable that
    # was not set. With a random key instead, the same order could start its machine twice.
    key = own_key() if key is None else key
    request = {"imei": imei, "type": type, **long.fields(), "key": key, **extra}
    command(where, request)


@click.command()
@click.argument("imei", type=ImeiType(), metavar="IMEI")
@KEY
@TIMEOUT
@NO_WAIT
@click.option(
    "--cancel-waiting", is_flag=True, help="Also cancel the starts that wait for this device."
)
@common
def stop(
    where: Where,
    imei: Imei,
    key: str | None,
    timeout: float | None,
    no_wait: bool,
    cancel_waiting: bool,
) -> None:
    """Stop the device IMEI, and wait for its answer.

    A stop goes ahead of starts that wait for the same device; they follow it,
    unless --cancel-waiting takes them away.

    \b
    Examples:
      devgate stop 123456787654321
      devgate stop 123456787654321 --cancel-waiting --timeout 30

    Exit codes: as of `devgate start --help`.
    """
    extra = _extra(key=key, timeout=timeout, no_wait=no_wait, cancel=cancel_waiting or None)
    command(where, {"imei": imei, "type": "stop", **extra})


def _extra(no_wait: bool, **fields: object) -> dict[str, object]:
    """The optional fields of a request that were given."""
    return given(**fields) | ({"wait": False} if no_wait else {})


def reply_seconds(request: dict[str, Any]) -> float:
    """Seconds after which a reply to this device command cannot come any more."""
    if request.get("wait") is False:
        return REPLY_SECONDS
    timeout = float(request.get("timeout", MAX_ANSWER_SECONDS))
    return timeout + float(request.get("expires", MAX_QUEUE_SECONDS)) + REPLY_SECONDS


def command(where: Where, request: dict[str, Any]) -> NoReturn:
    """Ask for a start or stop and end with its outcome.

    If no reply comes, the command may have been sent: then the message and the exit code say that
    its outcome is unknown, and never that it failed.
    """
    try:
        reply = ask(where.socket(), request, reply_seconds(request))
    except NoAnswer as err:
        text = f"{err}; the command may have been sent and may run on: {look_up(request)}"
        if where.as_json:
            emit(
                {"status": "408", "message": text, **request, "command": None,
                 "outcome": "unknown"}
            )  # fmt: skip
        fail(text, exit_code({"status": "408"}))
    except KeyboardInterrupt:
        fail(
            f"interrupted while waiting; the {request['type']} runs on: {look_up(request)}",
            INTERRUPTED,
        )
    finish(reply, where.as_json)


def look_up(request: dict[str, Any]) -> str:
    """How to learn what became of a command whose reply nobody saw."""
    history = f"`devgate history {request['imei']} --limit 1` shows what became of it"
    if not (key := request.get("key")):
        return history
    again = "gives its result and never does it twice"
    if key.startswith(OWN_KEY):
        return f"{history}, and the same again with --key {key} {again}"
    return f"the same again with its key {again}"


@click.command()
@click.argument("imei", type=ImeiType(), required=False, metavar="[IMEI]")
@common
def status(where: Where, imei: Imei | None) -> None:
    """Show how the gateway is, or the device IMEI.

    \b
    Examples:
      devgate status
      devgate status 123456787654321
      devgate status --json | jq .registered
    """
    text = describe.device if imei else describe.gateway
    answer(where, {"type": "status", **given(imei=imei)}, text)


@click.command()
@click.argument("request", metavar="'command{...}'")
@common
def send(where: Where, request: str) -> None:
    """Send a request to the gateway as it stands, and print every line that it answers.

    Exactly these bytes are sent; - takes them from stdin. The exit code is that of
    the last status that came back. A stream (watch, tap) runs until Ctrl-C.

    \b
    Examples:
      devgate send 'command{"imei":"123456787654321","type":"stop"}'
      devgate send 'command{"type":"devices","online":true,"limit":10}'
      devgate send - < requests.txt
    """
    data = sys.stdin.buffer.read() if request == "-" else os.fsencode(request)
    code = 0
    for line in exact(where.socket(), data):
        say(line.decode("utf-8", "replace"))
        try:
            reply = json.loads(line)
        except ValueError:
            reply = {"status": None}
        if isinstance(reply, dict) and "status" in reply:
            code = exit_code(reply)
    raise SystemExit(code)
