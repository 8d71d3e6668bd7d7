"""The API: a request to an operation, and its reply back."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from devgate.errors import DevgateError, NotThere
from devgate.gateway.operations.reply import Reply, Stream
from devgate.gateway.operations.table import OPERATIONS
from devgate.http.api import arguments
from devgate.http.api.endpoints import CALLS, Call
from devgate.http.api.export import Export
from devgate.http.auth import WebCaller, caller_of, must_be_allowed, refuse
from devgate.http.live.sse import EventStream
from devgate.http.place import Handler, PathMethods
from devgate.http.problems import TranslatedJson, http_status, problem, problem_of
from devgate.http.web import Web
from devgate.model import limits, shown

# Tuples, because a caller's `type` may be any JSON value, also one that cannot be hashed.
ORDER_OPERATIONS = tuple({call.operation for call in CALLS if call.waits})
# Operations whose reply is a stream: these have calls of their own.
STREAM_OPERATIONS = tuple({call.operation for call in CALLS if call.stream})


def routes(web: Web) -> list[BaseRoute]:
    """A route for each path of CALLS, with all its methods."""
    places: dict[str, dict[str, Handler]] = {}
    for call in CALLS:
        places.setdefault(call.path, {})[call.method] = _handler(web, call)
    # /api/devices/export is not a device whose IMEI is `export`.
    plain_first = sorted(places, key=lambda path: "{" in path)
    return [Route(path, PathMethods(places[path])) for path in plain_first]


def _handler(web: Web, call: Call) -> Handler:
    async def handle(request: Request) -> Response:
        if call.body == "command":
            return await _raw(web, caller_of(request), request)
        caller = must_be_allowed(web, request, call.operation)
        args = await arguments.arguments(call, request, web.gateway.settings.command.max_long)
        form = {one.name: args.pop(one.name, None) for one in call.query if one.form}
        try:
            if call.body == "csv":
                with await arguments.file(request) as file:
                    reply = await web.dispatch({**args, "csv": file}, caller.source)
            else:
                reply = await web.dispatch(args, caller.source)
        except DevgateError as err:
            missing = isinstance(err, NotThere)
            return problem_of(err, 404 if missing else call.statuses.get(err.status))
        if isinstance(reply, Stream):
            return _stream(web, call, request, reply, form)
        return answer(call, reply)

    return handle


def answer(call: Call, reply: Reply) -> Response:
    """An operation's reply as a response: a problem, unless it is a success."""
    code = str(reply["status"])
    # Only of a call that waits is it the status of the request: elsewhere it may be a record's.
    status = http_status(code) if call.waits else 200
    if status >= 400:
        more = {name: value for name, value in reply.items() if name not in ("status", "message")}
        if "type" in more:
            more["operation"] = more.pop("type")
        return problem(code, str(reply["message"]), status, more=more)
    headers = {}
    if call.created:
        name = quote(str(reply[call.created]), safe="")
        status, headers = 201, {"Location": f"{call.path}/{name}"}
    return TranslatedJson(reply, "message", status, headers)


def _stream(
    web: Web, call: Call, request: Request, stream: Stream, form: arguments.Args
) -> Response:
    if call.stream == "csv":
        spreadsheet = form["for"] == "spreadsheet"
        return Export(web, request, stream, call.operation, spreadsheet=spreadsheet)
    return EventStream.of(web, request, stream, call.operation)


async def _raw(web: Web, caller: WebCaller, request: Request) -> Response:
    """Answer a request of the control channel as that channel does."""
    given = arguments.raw_command(await arguments.body(request, arguments.MAX_JSON))
    args = {name: value for name, value in given.items() if name not in ("id", "token")}
    kind = args.get("type")
    try:
        reply = await _asked(web, caller, request, args)
        status = http_status(str(reply["status"])) if kind in ORDER_OPERATIONS else 200
    except DevgateError as err:
        status = http_status(err.status)
        reply = {"status": err.status, "message": str(err)}
        if kind in ORDER_OPERATIONS:
            reply |= {"imei": args.get("imei"), "type": kind, "long": args.get("long")}
            reply["command"] = None
        reply |= {"outcome": err.outcome, **err.more}
    if "id" in given:
        reply["id"] = given["id"]
    return TranslatedJson(reply, "message", status, end=b"\n")


async def _asked(web: Web, caller: WebCaller, request: Request, args: arguments.Args) -> Reply:
    kind = args.get("type")
    if kind in STREAM_OPERATIONS:
        raise DevgateError("400", f"type: {kind} has a call of its own here")
    if isinstance(kind, str) and kind in OPERATIONS and not caller.may(kind):
        refuse(web, request, "role", caller, kind)
        rights = limits(caller.role, caller.sites)
        raise DevgateError("401", f"{caller.name} may {rights} only; nothing was done")
    reply = await web.dispatch(args, caller.source)
    assert isinstance(reply, dict), f"{shown(kind)} is no stream"
    return reply
