"""Round trips to PostgreSQL: many statements in one message, and their results in one.

It uses libpq's pipeline mode, through psycopg's own binding. If statements are sent one by one,
the thread releases the interpreter's lock between two of them, and waits for it again while the
loop is busy, and the server is woken for each. Each statement is prepared when it is first used.
Every trip ends with a Sync: a session without it counts as active, so no timeout of the server
would free its locks if this process were frozen.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from psycopg import errors, pq
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

Value = str | int | float | bool | None

_FATAL, _ABORTED = pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED
_SYNC, _BAD = pq.ExecStatus.PIPELINE_SYNC, pq.ConnStatus.BAD
# How PostgreSQL's text is read, by the OID of its type: bool, int8, int2, int4, float8. Others are
# text.
_READ: Mapping[int, Callable[[bytes], Any]] = {
    16: lambda text: text == b"t", 20: int, 21: int, 23: int, 701: float,
}  # fmt: skip


class TripAnswer:
    """The result of a statement, once the trip is over."""

    __slots__ = ("refused", "rows")

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.refused = False  # by the server, which did not carry out the statements after it


class Trips:
    """The round trips of one session, which nothing else may use meanwhile. Blocks; for one thread
    at a time. Transactions begin and end by statements. After an error, close the session."""

    def __init__(self, conn: Connection, *, shared: bool = False) -> None:
        """`conn`: PostgreSQL, in no transaction. `shared`: between those of the trips, SQLAlchemy
        begins and ends transactions of its own; otherwise it works within theirs."""
        # Of one that is detached there is no `driver_connection`.
        raw: Any = conn.connection.dbapi_connection
        assert isinstance(raw, psycopg.Connection), "only PostgreSQL has a pipeline mode"
        raw.autocommit = not shared
        self._dialect = conn.dialect
        self._session = raw
        self._names: dict[str, bytes] = {}  # of the prepared statements
        self._asked: list[tuple[str, list[bytes | None], TripAnswer]] = []
        # Of a trip that failed: its last statement was certainly not carried out.
        self.skipped = False

    def ask(self, sql: str, *values: Value) -> TripAnswer:
        """Add this statement to the next trip. Its values are $1, $2, ...; use few different
        texts, because each is prepared."""
        answer = TripAnswer()
        self._asked.append((sql, [_encoded(value) for value in values], answer))
        return answer

    def rows(self, sql: str, *values: Value) -> list[tuple[Any, ...]]:
        """The rows of this statement, in one trip with all that was asked before it."""
        answer = self.ask(sql, *values)
        self.go()
        return answer.rows

    def go(self) -> None:
        """Send all that was asked, and fill in the answers. Raises SQLAlchemy's DBAPIError for the
        first statement that failed; those after it were not carried out."""
        asked, self._asked = self._asked, []
        connection = self._session.pgconn
        try:
            connection.enter_pipeline_mode()
            expected = self._send(connection, asked)
            connection.pipeline_sync()
            _receive(connection, expected)
            connection.exit_pipeline_mode()
        except psycopg.Error as err:
            # If the connection broke, a pooler may have refused: it answers the first statement
            # although the server has carried out all of them.
            broken = connection.status == _BAD
            self.skipped = not broken and any(answer.refused for _, _, answer in asked[:-1])
            raise DBAPIError.instance(
                None, None, err, psycopg.Error,
                connection_invalidated=broken, dialect=self._dialect,
            ) from err  # fmt: skip

    def close(self) -> None:
        """End the session, also in the middle of a transaction."""
        self._session.close()

    def _send(
        self, connection: pq.abc.PGconn, asked: list[tuple[str, list[bytes | None], TripAnswer]]
    ) -> list[TripAnswer]:
        """Send the statements. Returns the answers in the order in which results will come."""
        expected: list[TripAnswer] = []
        for sql, values, answer in asked:
            name = self._names.get(sql)
            if name is None:
                name = self._names[sql] = b"devgate_%d" % len(self._names)
                connection.send_prepare(name, sql.encode())
                expected.append(answer)
            connection.send_query_prepared(name, values)
            expected.append(answer)
        return expected


def _encoded(value: Value) -> bytes | None:
    if isinstance(value, str):
        if "\0" in value:  # for libpq it is the end of the text
            raise ValueError("PostgreSQL takes no text with a NUL")
        return value.encode()
    return None if value is None else str(value).encode()


def _receive(connection: pq.abc.PGconn, expected: list[TripAnswer]) -> None:
    """Read all results, and the Sync behind them. Raises psycopg.Error."""
    poll = select.poll()
    failed: psycopg.Error | None = None
    for answer in (*expected, None):
        # A statement has one result and an end; the Sync has no end.
        while True:
            result = _next(connection, poll)
            if result is None or result.status == _SYNC:
                break
            if result.status == _FATAL:
                failed = failed or _error_of(connection, result)
                if answer is not None:
                    answer.refused = failed.sqlstate is not None
                if connection.status == _BAD:
                    raise failed
            elif answer is not None and result.status != _ABORTED:
                answer.rows = _read(result)
    if failed is None and connection.status == _BAD:
        failed = psycopg.OperationalError(connection.error_message.decode("utf-8", "replace"))
    if failed is not None:
        raise failed


def _next(connection: pq.abc.PGconn, poll: select.poll) -> pq.abc.PGresult | None:
    while True:
        unsent = connection.flush()
        if not unsent and not connection.is_busy():
            return connection.get_result()
        # While the socket does not take all statements, results may come that must be read.
        poll.register(connection.socket, select.POLLIN | (select.POLLOUT if unsent else 0))
        poll.poll()
        connection.consume_input()


def _read(result: pq.abc.PGresult) -> list[tuple[Any, ...]]:
    reads = [_READ.get(result.ftype(column), bytes.decode) for column in range(result.nfields)]
    return [
        tuple(
            None if (text := result.get_value(row, column)) is None else read(text)
            for column, read in enumerate(reads)
        )
        for row in range(result.ntuples)
    ]


def _error_of(connection: pq.abc.PGconn, result: pq.abc.PGresult) -> psycopg.Error:
    state = result.error_field(pq.DiagnosticField.SQLSTATE)
    words = (result.error_message or connection.error_message).decode("utf-8", "replace").strip()
    if state is None:
        return psycopg.OperationalError(words)
    try:
        return errors.lookup(state.decode())(words)
    except KeyError:
        return psycopg.DatabaseError(words)
