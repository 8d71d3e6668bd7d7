"""Cut a control connection's bytes into `command{json}` requests. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NoReturn

from devgate.errors import CallerError
from devgate.model import STRICT, shown

Args = Mapping[str, object]  # what a request says

WORD = b"command"
MAX_REQUEST = 65536  # bytes from the word's first letter to the last brace
# Of braces and brackets. No operation needs more than four levels; the limit is far below the
# depth at which Python's own JSON reader and writer fail.
MAX_NESTED = 64

SPACE = re.compile(rb"[ \t\r\n]*")
MARK = re.compile(rb'["\\{}\[\]]')  # everything else in an object cannot end it
# The common request whole in one read: an object that holds no other, and no escapes.
FLAT = re.compile(rb'[ \t\r\n]*+command(\{(?:[^{}\[\\"]++|"[^"\\]*+")*+\})')


class RequestReader:
    """Bytes in, requests out. Whatever the sizes of the reads, no byte is scanned more than
    twice."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.empty = True  # no byte is left that was not taken
        self._start = 0  # of the request that is being read
        self._look = 0  # all bytes before it have been scanned
        self._named = False  # the whole word `command` has come
        self._braces = self._brackets = 0
        self._in_string = False

    def feed(self, data: bytes) -> None:
        """Add bytes. next_request() returns the requests in them."""
        del self._data[: self._start]
        self._look -= self._start
        self._start = 0
        self._data += data
        self.empty = not self._data

    @property
    def begun(self) -> bytes:
        """The bytes that have come and were not taken: another reader may continue with them."""
        return bytes(self._data[self._start :])

    def next_request(self) -> dict[str, object] | None:
        """Take one request; None if it has not arrived whole.

        Raises CallerError (400): after that, no further request can be read.
        """
        if not self._named and (flat := FLAT.match(self._data, self._start)):
            if flat.end() - flat.start(1) + len(WORD) > MAX_REQUEST:
                _too_long()
            self._start = self._look = flat.end()
            self.empty = self._start == len(self._data)
            return _object(flat[1])
        if not self._braces and not self._open():
            return None
        end = self._start + MAX_REQUEST
        while mark := MARK.search(self._data, self._look, end):
            self._look = mark.end()
            if self._closes(mark.group()):
                return self._cut()
        self._look = max(self._look, min(len(self._data), end))
        if len(self._data) > end:
            _too_long()
        return None

    def end(self) -> None:
        """Note that the peer has ended its side. Raises CallerError (400) if a request is
        incomplete."""
        if self._named or SPACE.fullmatch(self._data, self._start) is None:
            raise CallerError("400", "the connection ended in the middle of a request")

    def _open(self) -> bool:
        """True if the bytes begin with `command{`; False if they are too few to know."""
        data = self._data
        if not self._named:
            self._start = _behind_space(data, self._start)
            front = bytes(data[self._start : self._start + len(WORD)])
            if not WORD.startswith(front):
                self._expected()
            if len(front) < len(WORD):
                return False
            self._named, self._look = True, self._start + len(WORD)
        end = self._start + MAX_REQUEST
        self._look = _behind_space(data, self._look, end)
        if self._look == len(data):
            return False
        if self._look >= end:
            _too_long()
        if data[self._look] != ord("{"):
            self._expected()
        return True

    def _closes(self, sign: bytes) -> bool:
        """True if this character ends the object."""
        if sign == b"\\":
            self._look += 1  # the escaped byte, which may not be here yet
        elif sign == b'"':
            self._in_string = not self._in_string
        elif not self._in_string:
            if sign in b"{}":
                self._braces += 1 if sign == b"{" else -1
            else:
                self._brackets += 1 if sign == b"[" else -1
            if self._braces + self._brackets > MAX_NESTED:
                raise CallerError("400", f"a request nested more than {MAX_NESTED} deep")
            return not self._braces
        return False

    def _cut(self) -> dict[str, object]:
        raw = bytes(self._data[self._start + len(WORD) : self._look])
        self._start = self._look
        self._named = self._in_string = False
        self._brackets = 0
        return _object(raw)

    def _expected(self) -> NoReturn:
        found = bytes(self._data[self._start : self._start + 24]).decode("ascii", "replace")
        raise CallerError(
            "400",
            "command{...} expected, the word command and a JSON object,"
            f" not {shown(found.replace(chr(0xFFFD), '?'))}",
        )


def _behind_space(data: bytearray, start: int, end: int = 1 << 62) -> int:
    space = SPACE.match(data, start, end)
    assert space is not None, "it may be empty, so it always matches"
    return space.end()


def _too_long() -> NoReturn:
    raise CallerError("400", f"a request of more than {MAX_REQUEST} bytes")


def _object(raw: bytes) -> dict[str, object]:
    try:
        # Not json.loads(bytes): that guesses at UTF-16, and takes surrogates for UTF-8.
        request: dict[str, object] = STRICT.decode(raw.decode())
    except UnicodeDecodeError as err:
        raise CallerError("400", f"a request that is not UTF-8: {err.reason}") from None
    except ValueError as err:
        raise CallerError("400", f"command{{...}} expected, but this is no JSON: {err}") from None
    return request
