"""Ask a gateway over its control socket. Blocking, standard library only: for the CLI."""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import stat
import time
from collections.abc import Generator, Mapping
from typing import Any

from devgate.control.standby_file import waiting
from devgate.errors import DevgateError
from devgate.model import shown

Reply = dict[str, Any]

# The backlog of a busy gateway may be full for a moment; that of a stopped process stays full.
CONNECT_SECONDS = 5.0
# Each time that this long has passed without a line, a second connection asks whether the gateway
# still answers: a start may take minutes, and a stuck gateway would never reply.
PROBE_SECONDS = 15.0
PROBE_TIMEOUT_SECONDS = 10.0
# The limit for a request that waits for no device: the database may be busy, or the page long.
REPLY_SECONDS = 60.0
READ_BYTES = 65536


class NoGateway(DevgateError):
    """Nobody answers at the socket. Nothing was asked.

    `absent`: no gateway runs there. Otherwise one may run that is stuck, or does not let this user
    in.
    """

    def __init__(self, text: str, *, absent: bool = False) -> None:
        super().__init__("503", text)
        self.absent = absent


class NoAnswer(NoGateway):
    """The request went out and no reply came: its result is unknown."""


class Channel:
    """One connection to the gateway, for any number of requests. Not for several threads.

    Making one raises NoGateway if nobody answers at `path`; what is read from it raises
    NoAnswer. Use it as a context manager.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._sock = _connected(path)
        self._data = bytearray()
        self._looked = 0  # bytes at the front that have no newline
        self._unsent = b""
        self._done = False

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *exc: object) -> None:
        self._sock.close()

    def send(self, request: Mapping[str, Any]) -> None:
        """Send one request."""
        self.send_bytes(b"command" + json.dumps(request).encode())

    def send_bytes(self, data: bytes) -> None:
        """Send exactly these bytes: what the kernel takes now, the others while waiting for lines.

        So this cannot block when the gateway stops reading until its replies are read.
        """
        self._unsent += data
        self._push()

    def done(self) -> None:
        """Say that no further request will come: the gateway closes after its last reply."""
        self._done = True
        self._push()

    def line(self, timeout: float | None = None) -> bytes | None:
        """The next line without its end, or None at the end. Raises TimeoutError."""
        until = None if timeout is None else time.monotonic() + timeout
        while (end := self._data.find(b"\n", self._looked)) < 0:
            self._looked = len(self._data)
            if not self._wait(until):
                if self._data:
                    raise NoAnswer(f"the gateway at {self.path} went away in the middle of a line")
                return None
        line = bytes(self._data[:end])
        del self._data[: end + 1]
        self._looked = 0
        return line

    def _wait(self, until: float | None) -> bool:
        """Read and send until something was read; False at the end. Raises TimeoutError."""
        poll = select.poll()
        while True:
            poll.register(self._sock, select.POLLIN | (select.POLLOUT if self._unsent else 0))
            remaining_ms = None if until is None else max(0.0, until - time.monotonic()) * 1000
            if not poll.poll(remaining_ms):
                raise TimeoutError
            self._push()
            try:
                data = self._sock.recv(READ_BYTES)
            except BlockingIOError:
                continue
            except ConnectionError:
                data = b""
            self._data += data
            return bool(data)

    def _push(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self._sock.send(self._unsent) :]
            if self._done:
                self._sock.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = b""  # it closed; a reply that says why may be waiting to be read

    def reply(self, timeout: float | None = None) -> Reply | None:
        """The next line as an object, or None at the end. Raises TimeoutError."""
        line = self.line(timeout)
        return None if line is None else _parsed(line, self.path)

    def awaited(self, timeout: float = REPLY_SECONDS) -> Reply:
        """The next reply, as long as the gateway lives and at most `timeout` seconds.

        Raises NoAnswer, which says whether the gateway is gone, stuck, or alive and silent.
        """
        until = time.monotonic() + timeout
        while True:
            try:
                reply = self.reply(min(PROBE_SECONDS, max(0.0, until - time.monotonic())))
            except TimeoutError:
                _probe(self.path)
                if time.monotonic() >= until:
                    raise NoAnswer(
                        f"the gateway at {self.path} has not answered within {timeout:g} s"
                    ) from None
                continue
            if reply is None:
                raise NoAnswer(f"the gateway at {self.path} went away without an answer")
            return reply


def ask(path: str, request: Mapping[str, Any], timeout: float = REPLY_SECONDS) -> Reply:
    """Send one request to the gateway at `path` and return its reply.

    Raises NoGateway if nobody answers there, NoAnswer (a NoGateway) if the request went out and
    nothing came back within `timeout` seconds, or the gateway went away or is stuck.
    """
    with Channel(path) as channel:
        channel.send(request)
        return channel.awaited(timeout)


def stream(
    path: str, request: Mapping[str, Any], timeout: float = REPLY_SECONDS
) -> Generator[Reply, None, None]:
    """The reply to `request`, then one object an event until the gateway ends the stream.

    Only the wait for the reply has a limit: a stream may be silent for days. Close the iterator to
    end it. Raises what `ask` raises.
    """
    with Channel(path) as channel:
        channel.send(request)
        yield channel.awaited(timeout)
        while (event := channel.reply()) is not None:
            yield event


def exact(path: str, data: bytes) -> Generator[bytes, None, None]:
    """Send exactly these bytes and yield each line that comes back, unchanged, until the end.

    Raises what `ask` raises. Waits for a gateway that is silent but alive.
    """
    silent = True
    with Channel(path) as channel:
        channel.send_bytes(data)
        channel.done()
        while True:
            try:
                line = channel.line(PROBE_SECONDS)
            except TimeoutError:
                _probe(path)
                continue
            if line is None:
                break
            silent = False
            yield line
    if silent:
        raise NoAnswer(f"the gateway at {path} went away without an answer")


def _connected(path: str) -> socket.socket:
    """A connection to the socket at `path`. Raises NoGateway, and says why."""
    until = time.monotonic() + CONNECT_SECONDS
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        while True:
            try:
                sock.connect(path)  # a Unix socket connects at once, or its backlog is full
                return sock
            except BlockingIOError:
                if time.monotonic() > until:
                    raise NoGateway(
                        f"the gateway at {path} is stuck: it takes no connection"
                    ) from None
                time.sleep(0.02)
    except OSError as err:
        sock.close()
        absent = err.errno in (errno.ENOENT, errno.ECONNREFUSED)
        raise NoGateway(_why(path, err), absent=absent) from None
    except BaseException:
        sock.close()
        raise


def _why(path: str, err: OSError) -> str:
    if isinstance(err, PermissionError):
        return f"no permission to use the control socket {path}: {_owners(path)}"
    if (standby := waiting(path)) is not None:
        return f"no gateway answers at {path}: {standby}"
    if err.errno == errno.ECONNREFUSED and not _may_be_a_socket(path):
        return f"no gateway answers at {path}: it is no socket; name the gateway's with --socket"
    if err.errno == errno.ECONNREFUSED:
        return f"no gateway answers at {path}: it has gone and left its socket file; " + _HINT
    return f"no gateway answers at {path}: {err.strerror or err}; " + _HINT


def _may_be_a_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:  # it has gone since
        return True


_HINT = "is `devgate serve` running?"


def _owners(path: str) -> str:
    """Who may use the socket, as the end of a sentence."""
    try:
        found = os.stat(path)
    except OSError:
        return "its folder is closed to you; run as its owner or as a member of its group"
    import grp  # only ever needed here

    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = str(found.st_gid)
    return f"run as its owner or join the group {group} (mode {found.st_mode & 0o777:04o})"


def _probe(path: str) -> None:
    """Raises NoAnswer unless the gateway still answers somebody."""
    try:
        with Channel(path) as channel:
            channel.send({"type": "status"})
            alive = channel.line(PROBE_TIMEOUT_SECONDS) is not None
    except (TimeoutError, NoGateway):
        alive = False
    if not alive:
        raise NoAnswer(f"the gateway at {path} is stuck: it answers nobody")


def _parsed(line: bytes, path: str) -> Reply:
    try:
        reply = json.loads(line)
    except ValueError:
        reply = None
    if not isinstance(reply, dict):
        text = line.decode("utf-8", "replace")
        raise NoGateway(f"what answers at {path} is no devgate gateway: it said {shown(text)}")
    return reply
