"""`devgate replay`: send the frames of a device in a saved tap to a gateway again."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Mapping
from typing import BinaryIO

import click

from devgate.cli.follow import painter, shown_bytes
from devgate.cli.language import said
from devgate.cli.output import Where, common, emit, fail, print_error, tell
from devgate.cli.params import target_of
from devgate.cli.tapfile import SavedFrame, answers, cut, load
from devgate.control.client import ask
from devgate.model import NO_GATEWAY

DIFFERENT = 1  # the exit code if other frames came back
# How long to wait for the last answers; and with --fast for those before the next bytes.
ANSWER_SECONDS = 2.0
# How long to listen for frames that were not saved.
SURPLUS_SECONDS = 0.2


class ReplayLine:
    """One connection of the replay: the answers that were saved so far, and those that came."""

    def __init__(self, number: int, target: tuple[str, int]) -> None:
        self.number = number
        self.saved: list[bytes] = []
        self.came: list[bytes] = []
        self.tail = b""
        self.missing = 0  # answers that did not come in time; they are not waited for again
        self.ended = False
        self.sock = socket.create_connection(target, timeout=10)
        # Each write is a packet of its own.
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        """Send bytes; a connection that has ended is noted as such."""
        try:
            self.sock.sendall(data)
        except OSError:
            self.ended = True

    def receive(self) -> bytes:
        """The bytes that have come; empty once the gateway has closed the connection."""
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        self.ended = self.ended or not data
        frames, self.tail = cut(self.tail + data)
        self.came += answers(frames)
        return data

    def due(self) -> int:
        """How many answers are still to come."""
        return 0 if self.ended else max(0, len(self.saved) - len(self.came) - self.missing)


class Player:
    """Sends saved frames, and shows all frames. `fast`: without the pauses that were saved; it
    waits for answers instead."""

    def __init__(self, target: tuple[str, int], fast: bool, as_json: bool) -> None:
        self.target = target
        self.fast = fast
        self.as_json = as_json
        self.lines: dict[str, ReplayLine] = {}
        self.paint = painter()
        self.begun = time.monotonic()

    def play(self, frames: list[SavedFrame]) -> None:
        """Send all of them, and wait for the last answer. Raises OSError if the gateway accepts no
        connection."""
        for frame in frames:
            line = self.lines.get(frame.address)
            if line is None:
                line = self.lines[frame.address] = ReplayLine(len(self.lines) + 1, self.target)
                self.register(line, frame.registration())
            if not frame.inward:
                line.saved += answers(cut(frame.data)[0])
                continue
            if self.fast:
                self.listen_for_answers()
            else:
                self.listen(self.begun + frame.at - frames[0].at)
            self.show(line, "in", frame.data)
            line.send(frame.data)
        self.listen_for_answers()
        self.listen(time.monotonic() + SURPLUS_SECONDS)

    def register(self, line: ReplayLine, registration: tuple[bytes, bytes] | None) -> None:
        """Register on a connection that was registered when the tap began."""
        if registration:
            hello, welcome = registration
            self.show(line, "in", hello)
            line.send(hello)
            line.saved.append(welcome)

    def listen_for_answers(self) -> None:
        """Read until all answers saved so far have come, for ANSWER_SECONDS at most."""
        self.listen(time.monotonic() + ANSWER_SECONDS, all_=False)
        for line in self.lines.values():
            line.missing += line.due()

    def listen(self, until: float, all_: bool = True) -> None:
        """Read from every connection until that moment; or, if not `all_`, until none is due."""
        while all_ or any(line.due() for line in self.lines.values()):
            poll = select.poll()
            heard = {line.sock.fileno(): line for line in self.lines.values() if not line.ended}
            if not heard:
                return
            for fd in heard:
                poll.register(fd, select.POLLIN)
            ready = poll.poll(max(0.0, until - time.monotonic()) * 1000)
            for fd, _ in ready:
                if data := heard[fd].receive():
                    self.show(heard[fd], "out", data)
            if time.monotonic() >= until:
                return

    def show(self, line: ReplayLine, direction: str, data: bytes) -> None:
        """Print bytes: `direction` is `in` (to the gateway) or `out`."""
        at = time.monotonic() - self.begun
        if self.as_json:
            text = data.decode("latin-1")
            after = round(at, 3)
            emit({"after": after, "line": line.number, "direction": direction, "bytes": text})
        else:
            colour = "green" if direction == "in" else "cyan"
            where = f"#{line.number}  " if len(self.lines) > 1 else ""
            self.paint([
                (f"{at:9.3f} s  {where}", "dim"),
                (f"{direction:<3}  ", colour),
                (shown_bytes(data), "bold"),
            ])  # fmt: skip

    def difference(self) -> Mapping[str, object] | None:
        """The first frame that is not as it was saved, or None."""
        for line in self.lines.values():
            for number in range(max(len(line.saved), len(line.came))):
                saved, came = line.saved[number : number + 1], line.came[number : number + 1]
                if saved != came:
                    return {
                        "line": line.number, "frame": number + 1,
                        "saved": saved[0].decode("latin-1") if saved else None,
                        "came": came[0].decode("latin-1") if came else None,
                    }  # fmt: skip
        return None

    def close(self) -> None:
        """Close all connections."""
        for line in self.lines.values():
            line.sock.close()


@click.command()
@click.argument("file", type=click.File("rb"), metavar="FILE")
@click.argument("target", required=False, metavar="[HOST:PORT]")
@click.option("--fast", is_flag=True, help="Do not keep the saved pauses.")
@common
def replay(where: Where, file: BinaryIO, target: str | None, fast: bool) -> None:
    """Play what a device said in FILE, a saved tap, against a gateway's device port.

    Shows what comes back, and whether it is what was saved. Commands that the
    gateway sent are left out of the comparison: nobody asks for them again.
    Without HOST:PORT it plays against the gateway whose control socket is found.

    A tap that began when the device was registered lacks its registration: then the
    replay registers first. At a gateway where the real device is connected it
    takes over from it, so use another one.

    \b
    Examples:
      devgate tap 123456787654321 --save odd.jsonl
      devgate replay odd.jsonl 127.0.0.1:12306
      devgate replay odd.jsonl 127.0.0.1:12306 --fast --json

    \b
    Exit codes:
       0  all came back as saved
       1  something else came back
       2  FILE is no saved tap
      13  no gateway answers
    """
    try:
        frames, missed = load(file)
    except ValueError as err:
        fail(f"{file.name} {err}")
    if not any(frame.inward for frame in frames):
        fail(f"{file.name} holds nothing that a device sent")
    if missed:
        print_error(
            f"{missed} frames were missed when this was saved; it may come out differently"
        )
    try:
        address = target_of(target or _device_port(where))
    except ValueError as err:
        raise click.UsageError(str(err)) from None
    player = Player(address, fast, where.as_json)
    try:
        player.play(frames)
    except OSError as err:
        fail(f"no gateway takes devices at {target or address}: {err}", NO_GATEWAY)
    finally:
        player.close()
    _verdict(player, where.as_json)


def _verdict(player: Player, as_json: bool) -> None:
    different = player.difference()
    count = sum(len(line.came) for line in player.lines.values())
    if as_json:
        emit({"same": different is None, "frames": count, "difference": different})
    elif different is None:
        tell(f"the same as saved: {count} frames came back")
    else:
        came, saved = (different[key] or said("nothing") for key in ("came", "saved"))
        print_error(f"different: frame {different['frame']} is {came}, and {saved} was saved")
    raise SystemExit(DIFFERENT if different else 0)


def _device_port(where: Where) -> str:
    """The first address of the device port of the gateway at the control socket."""
    reply = ask(where.socket(), {"type": "status"})
    listen = (reply.get("listen") or {}).get("device") or []
    if not listen:
        fail("the gateway takes no devices; give HOST:PORT")
    return str(listen[0])
