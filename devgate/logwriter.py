"""A thread writes the log: code that logs never waits for a reader of the log."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import NamedTuple, TextIO

MAX_WAITING = 10_000  # records that wait for the thread; a pipe's reader may pause for seconds
MAX_ERRORS = 1_000  # ... and this many more of ERROR and above
GATHER_SECONDS = 0.02  # between two writes while lines keep coming
END_SECONDS = 1.0  # that the end of the process waits for the thread


class Gap(NamedTuple):
    """Stands in the queue where records were dropped."""

    dropped: int


Item = logging.LogRecord | Gap | threading.Event | None  # an event: a flush; None: the end


class LogWriter(logging.Handler):
    """Takes records from any thread, and never blocks or raises there.

    One thread formats them and writes all that have gathered at once. Up to MAX_WAITING records
    wait for it. Then those below ERROR are dropped and counted, and the first line after them says
    how many. Lines that `stream` does not accept count as dropped.
    """

    def __init__(self, stream: TextIO, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.dropped = 0  # records, since the start
        self._unreported = 0  # of these, what no line has reported yet
        self._queue: SimpleQueue[Item] = SimpleQueue()
        self._counting = threading.Lock()
        self._ending = threading.Event()
        self._stream = stream  # keeps its descriptor open
        self._write = _writes_to(stream)
        self._encoding = stream.encoding or "utf-8"
        self._torn = False  # the last write ended within a line
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def createLock(self) -> None:
        """As Handler.createLock(): none."""
        self.lock = None  # the queue needs none

    def handle(self, record: logging.LogRecord) -> bool:
        """As Handler.handle(): put it into the queue. False if it was dropped."""
        waiting = self._queue.qsize()
        if waiting >= MAX_WAITING and (
            record.levelno < logging.ERROR or waiting >= MAX_WAITING + MAX_ERRORS
        ):
            with self._counting:
                self.dropped += 1
                self._unreported += 1
            return False
        if self._unreported:
            with self._counting:
                count, self._unreported = self._unreported, 0
            self._queue.put(Gap(count))
        self._queue.put(record)
        return True

    def flush(self) -> None:
        """Wait until all that was logged before is written, at most END_SECONDS."""
        self.flush_within(END_SECONDS)

    def flush_within(self, seconds: float) -> None:
        """Wait until all that was logged before is written, at most `seconds`."""
        if not self._ending.is_set():
            written = threading.Event()
            self._queue.put(written)
            written.wait(seconds)

    def close(self) -> None:
        """Write the waiting records and end the thread. Waits for it at most END_SECONDS."""
        if not self._ending.is_set():
            self._queue.put(None)
            self._ending.set()
            self._thread.join(END_SECONDS)
        super().close()

    # In the thread

    def _run(self) -> None:
        queue = self._queue
        while True:
            items = [queue.get()]
            while items:
                items += [queue.get_nowait() for _ in range(queue.qsize())]
                self._out(items)
                if None in items:
                    return
                # Nobody waits in `queue.get` meanwhile, so that a busy loop wakes no thread.
                self._ending.wait(GATHER_SECONDS)
                items = [queue.get_nowait() for _ in range(queue.qsize())]

    def _out(self, items: Sequence[Item]) -> None:
        records = [item for item in items if isinstance(item, logging.LogRecord | Gap)]
        lines = [self._line(item) for item in records]
        data = b"".join([b"\n", *lines] if self._torn else lines)
        unwritten = self._write(data)
        self._torn = (
            not data[: len(data) - unwritten].endswith(b"\n") if unwritten < len(data) else False
        )
        while unwritten > 0:
            item, line = records.pop(), lines.pop()
            unwritten -= len(line)
            lost = item.dropped if isinstance(item, Gap) else 1
            with self._counting:
                self._unreported += lost
                if not isinstance(item, Gap):  # it was counted when it came to be
                    self.dropped += 1
        for flushed in items:
            if isinstance(flushed, threading.Event):
                flushed.set()

    def _line(self, item: logging.LogRecord | Gap) -> bytes:
        if isinstance(item, Gap):
            message, args = "log lines dropped count=%s", (item.dropped,)
            record = logging.LogRecord("devgate", logging.WARNING, "", 0, message, args, None)
        else:
            record = item
        try:
            text = self.format(record)
        except Exception:  # wrong arguments of the call must not lose the line
            record.msg, record.args = f"{record.msg!r} {record.args!r}", ()
            text = self.format(record)
        return f"{text}\n".encode(self._encoding, "backslashreplace")


def _writes_to(stream: TextIO) -> Callable[[bytes], int]:
    """A function that writes bytes to `stream` and returns how many it could not write."""
    try:
        fd = stream.fileno()
    except OSError:  # no file at all: a test's

        def write(data: bytes) -> int:
            stream.write(data.decode(stream.encoding or "utf-8"))
            return 0

        return write

    def write_all(data: bytes) -> int:
        unwritten = memoryview(data)
        # A full disk, a reader that is gone, a terminal that was closed.
        with contextlib.suppress(OSError):
            while unwritten:
                try:
                    unwritten = unwritten[os.write(fd, unwritten) :]
                except BlockingIOError:  # whoever shares the terminal has made it so
                    poll = select.poll()
                    poll.register(fd, select.POLLOUT)
                    poll.poll()
        return len(unwritten)

    return write_all
