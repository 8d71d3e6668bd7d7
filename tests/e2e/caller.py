"""A web application's end of the control socket, and a device that answers by itself."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Self, TypeVar

from tests.e2e.device import WAIT_SECONDS, Device, frame
from tests.e2e.harness import Gateway, Json, Settings, gateway, request_bytes

T = TypeVar("T")


class Caller:
    """One control connection: any number of requests, and the lines that come back."""

    def __init__(self, gateway: Gateway) -> None:
        self.socket = gateway.connect()
        self._lines = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, **request: object) -> None:
        self.socket.sendall(request_bytes(request))

    def line(self) -> Json:
        """The next line; ConnectionError if the gateway has closed instead."""
        line = self._lines.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError(f"no reply, only {line!r}")
        reply: Json = json.loads(line)
        return reply

    def ask(self, **request: object) -> Json:
        self.send(**request)
        return self.line()

    def follow(self, **request: object) -> Json:
        """Begin a stream. Returns its first line."""
        reply = self.ask(**request)
        assert reply["status"] == "200", reply
        return reply

    def until(self, wanted: Callable[[Json], bool]) -> list[Json]:
        """Lines up to the first that is wanted, with that."""
        lines = [self.line()]
        while not wanted(lines[-1]):
            lines.append(self.line())
        return lines

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


class Robot:
    """A device that registers and then answers every command with `status`; None: with nothing."""

    def __init__(self, gateway: Gateway, imei: str, status: str | None = "200") -> None:
        self.imei = imei
        self.status = status
        self.seen: list[str] = []  # commands, as COMMAND and DATA: "QD500"
        self.device = gateway.register(imei)
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def __enter__(self) -> Robot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _live(self) -> None:
        with contextlib.suppress(OSError):
            while head := self.device.read(3):
                rest = self.device.read(int(head) - 3).decode()
                if rest[:3] == "000":
                    self.seen.append(rest[18:])
                    if self.status is not None:
                        self.device.send(frame(self.status, self.imei, rest[18:20]))

    def close(self) -> None:
        """Leave. What came until then has been seen."""
        with contextlib.suppress(OSError):
            self.device.socket.shutdown(2)
        self._thread.join(WAIT_SECONDS)
        self.device.close()


@contextlib.contextmanager
def knowing(
    settings: Settings, store: str | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[Gateway]:
    """A running gateway that knows the first 40 devices of the fixture `unused`."""
    url = "sqlite:///devgate.db" if store is None else store
    with gateway(settings, store=url, environment=environment, devices=DEVICES) as running:
        yield running


DEVICES = [{"imei": f"860000000000{n:03}"} for n in range(40)]


def obey(device: Device, imei: str, command: str, status: str = "200") -> None:
    """Take this command, which comes next ("QD500"), and answer it; the answer is acknowledged."""
    device.expect(frame("000", imei, command[:2], command[2:]))
    settle(device, imei, command, status)


def settle(device: Device, imei: str, command: str, status: str = "200") -> None:
    """Send a result and take its acknowledgement."""
    device.send(frame(status, imei, command[:2]))
    device.expect(frame("200", imei, command[:2]))


def eventually(look: Callable[[], T], wanted: Callable[[T], bool]) -> T:
    """Look until what is there is wanted. Returns it."""
    ends = time.monotonic() + WAIT_SECONDS
    while not wanted(found := look()):
        assert time.monotonic() < ends, f"it does not come to what is wanted: {found!r}"
        time.sleep(0.01)
    return found
