"""From a request to the arguments of an operation. Each error names its field."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import IO, Any
from urllib.parse import parse_qsl

import trio
from starlette.requests import ClientDisconnect, Request

from devgate.http.api.endpoints import Call, Field
from devgate.http.api.misfit import misfit, words
from devgate.http.api.schemas import LONG, Schema
from devgate.http.problems import Problem
from devgate.model import STRICT, shown, unknown_field

MAX_JSON = 65536  # bytes: as on the control channel
MAX_FILE = 256 * 1024 * 1024  # bytes of an import: some million devices
WRITE_BYTES = 1024 * 1024  # bytes that are written to the disk at once
MAX_FORM = 32768  # bytes of a form: the longest of ours has each field of a machine twice
MAX_FORM_FIELDS = 100
BODY_SECONDS = 30.0  # seconds in which the next part of a body must come
# A client that sends a byte from time to time would hold a connection for days.
MIN_RATE = 1024  # bytes a second that a body must come with, on average, after BODY_SECONDS
FORM_TYPE = "application/x-www-form-urlencoded"
COMMAND_WORD = "command"
MAX_DIGITS = 20  # digits of a Content-Length that are read

Args = dict[str, object]


def bad(text: str, status: int = 400) -> Problem:
    """The answer to a request that is wrong: `status` is that of HTTP."""
    return Problem("400", text, status)


async def arguments(call: Call, request: Request, max_long: int) -> Args:
    """The arguments that a request gives to this call, without a file. Raises Problem.

    `max_long` is that of [command], which is the bound of a start's number on every interface.
    """
    args: Args = {"type": call.operation}
    for one in call.place:
        _put(args, one, request.path_params[one.name])
    _query(call, request, args)
    if call.body == "json":
        known = {one.name: _bounded(one, max_long) for one in call.json}
        _json(known, request, args, await body(request, MAX_JSON))
    for one in call.head:
        _head(one, request, args)
    return args


def _query(call: Call, request: Request, args: Args) -> None:
    known = {one.name: one for one in call.query}
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise bad(unknown_field(name, known).replace("field", "parameter", 1))
        if known[name].argument in args:
            raise bad(f"{name}: given twice")
        _put(args, known[name], _worded(known[name], value))
    _all_there(call.query, args)


def _head(one: Field, request: Request, args: Args) -> None:
    values = request.headers.getlist(one.name)
    if not values or (one.name == "Last-Event-ID" and values == [""]):  # a browser's first
        return
    if len(values) > 1:
        raise bad(f"{one.name}: given twice")
    try:
        # HTTP defines no encoding of these bytes; clients send UTF-8.
        text = values[0].encode("latin-1").decode()
    except UnicodeDecodeError:
        raise bad(f"{one.name}: UTF-8 expected") from None
    given: Args = {}
    _put(given, one, _worded(one, text))
    value, before = given[one.argument], args.get(one.argument)
    if one.argument == "key" and before is not None and before != value:
        raise bad(f"key: {shown(before)} in the body, {shown(value)} in the header")
    args[one.argument] = value  # Last-Event-ID instead of `after`: where the stream goes on


def _bounded(one: Field, max_long: int) -> Field:
    return replace(one, schema={**LONG, "maximum": max_long}) if one.schema is LONG else one


def _json(known: Mapping[str, Field], request: Request, args: Args, raw: bytes) -> None:
    if raw:
        kind = request.headers.get("content-type", "application/json").partition(";")[0]
        if kind.strip().lower() != "application/json":
            raise bad(f"Content-Type: application/json expected, not {shown(kind)}", 415)
    given = decoded(raw) if raw.strip() else {}
    if not isinstance(given, dict):
        raise bad(f"a JSON object expected, not {shown(given)}")
    for name, value in given.items():
        if name not in known:
            raise bad(unknown_field(name, known))
        _put(args, known[name], _number(known[name].schema, value))
    _all_there(known.values(), args)


def _put(args: Args, one: Field, value: object) -> None:
    if (expected := misfit(one.schema, value)) is not None:
        raise bad(f"{one.name}: {expected}")
    args[one.argument] = value


def _all_there(known: Iterable[Field], args: Args) -> None:
    for one in known:
        if one.required and one.argument not in args:
            raise bad(f"{one.name}: {words(one.schema)} expected, not nothing")


def _worded(one: Field, value: str) -> object:
    """The value that a text in a query or a header stands for."""
    kind = one.schema["type"]
    if kind == "boolean":
        return {"true": True, "false": False}.get(value, value)
    if kind == "integer" and re.fullmatch(r"-?[0-9]{1,20}", value, re.ASCII):
        return int(value)
    return value


def _number(schema: Schema, value: object) -> object:
    """JSON has one kind of number: 5.0 is a whole number."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value) if "integer" in schema["type"] else value
    if isinstance(value, dict) and "object" in schema["type"]:
        known = schema["properties"]
        return {n: _number(known[n], one) if n in known else one for n, one in value.items()}
    return value


async def body(request: Request, max_bytes: int) -> bytes:
    """The whole body. Raises Problem (413, 408) if it is too long or does not come."""
    parts: list[bytes] = []
    await _each(request, max_bytes, parts.append)
    return b"".join(parts)


async def file(request: Request) -> IO[bytes]:
    """The body in a file without a name, which the caller closes. Raises Problem as body()."""
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's
    waiting = bytearray()

    async def write_part(part: bytes, last: bool = False) -> None:
        nonlocal waiting
        waiting += part
        if len(waiting) >= WRITE_BYTES or last:
            full, waiting = bytes(waiting), bytearray()
            await trio.to_thread.run_sync(spool.write, full)

    try:
        await _each(request, MAX_FILE, write_part)
        await write_part(b"", last=True)
        spool.seek(0)
    except BaseException:
        spool.close()
        raise
    return spool


async def _each(request: Request, max_bytes: int, on_part: Any) -> None:
    said, size = request.headers.get("content-length", "0"), 0
    if said.isdigit() and int(said[:MAX_DIGITS]) > max_bytes:
        raise bad(f"the body: at most {max_bytes} bytes expected, not {said}", 413)
    parts, begun = request.stream(), trio.current_time()
    try:
        while True:
            now = trio.current_time()
            with trio.fail_at(min(now, begun + size / MIN_RATE) + BODY_SECONDS):
                part = await anext(parts, None)
            if part is None:
                return
            size += len(part)
            if size > max_bytes:
                raise bad(f"the body: at most {max_bytes} bytes expected", 413)
            if (going := on_part(part)) is not None:
                await going
    except trio.TooSlowError:
        raise bad("the body: it came too slowly", 408) from None
    except ClientDisconnect:
        raise bad("the body: it ended too early") from None


async def form(request: Request) -> dict[str, str]:
    """The fields of a form; of one that comes twice, the last.

    Raises Problem: 415 for anything but `application/x-www-form-urlencoded`, 413 above
    MAX_FORM, 408 if the body does not come in time, 400 for more than MAX_FORM_FIELDS.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    text = (await body(request, MAX_FORM)).decode("utf-8", "replace")
    if text and kind != FORM_TYPE:
        raise bad(f"Content-Type: {FORM_TYPE} expected, not {shown(kind)}", 415)
    if text.count("&") >= MAX_FORM_FIELDS:
        raise bad(f"the form: at most {MAX_FORM_FIELDS} fields expected")
    return dict(parse_qsl(text, keep_blank_values=True))


def raw_command(data: bytes) -> dict[str, object]:
    """The object of `command{...}`. Raises Problem (400)."""
    text = data.decode("utf-8", "replace").strip(" \t\r\n")
    json = text[len(COMMAND_WORD) :].lstrip(" \t\r\n")
    if not text.startswith(COMMAND_WORD) or not json.startswith("{"):
        raise bad(f"command{{...}} expected, the word and a JSON object, not {shown(text, 40)}")
    given = decoded(data.strip(b" \t\r\n")[len(COMMAND_WORD) :])
    assert isinstance(given, dict), "it begins with a brace"
    return given


def decoded(raw: bytes) -> object:
    """The value that a JSON text stands for, without NaN and Infinity. Raises Problem (400)."""
    try:
        return STRICT.decode(raw.decode())
    except UnicodeDecodeError as err:
        raise bad(f"a body that is not UTF-8: {err.reason}") from None
    except RecursionError:
        raise bad("a body that is nested too deep") from None
    except ValueError as err:
        raise bad(f"a body that is no JSON: {err}") from None
