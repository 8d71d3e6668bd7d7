"""Errors as RFC 9457 defines them, with their HTTP status.

Many client libraries look at the HTTP status alone, so a start that did not succeed is never a
2xx. The member `code` is devgate's own status, as in control.md. The sentence for a person is in
the language that the request asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from devgate.errors import DevgateError, outcome_of
from devgate.language.choice import FULL, Language, accepted
from devgate.language.messages import said
from devgate.model import to_ascii_json, to_json

# devgate's status: the HTTP status, and what they mean together.
STATUSES: Mapping[str, tuple[int, str]] = {
    "200": (200, "done"),
    "000": (202, "accepted, and not waited for"),
    "201": (502, "the device says that it failed"),
    "202": (502, "the device says that the IMEI is not its own"),
    "300": (404, "no such device"),
    "404": (409, "the device is not connected; nothing was sent"),
    "408": (504, "sent, no answer in time: the outcome is unknown"),
    "400": (400, "the request is wrong; nothing was done"),
    "401": (403, "not allowed, or the device is disabled; nothing was done"),
    "409": (409, "in conflict with an earlier command; nothing was sent"),
    "410": (410, "it expired while it waited; nothing was sent"),
    "423": (423, "the machine takes no start now, `why` says so; nothing was sent"),
    "429": (429, "too many commands wait for the device; nothing was sent"),
    "500": (500, "the gateway failed"),
    "503": (503, "the gateway stops, or its database is away; nothing was sent"),
}
PROBLEM_TYPE = "application/problem+json"


class Problem(Exception):
    """Ends a request with this. `code` is devgate's status, `status` HTTP's."""

    def __init__(
        self, code: str, text: str, status: int | None = None, headers: Mapping[str, str] = {}
    ) -> None:
        super().__init__(text)
        self.code = code
        self.status = http_status(code) if status is None else status
        self.headers = headers


class TranslatedJson(Response):
    """JSON with one member that is a sentence for a person.

    It is translated when it is sent, so that the code that makes it need not know the request.
    """

    def __init__(
        self,
        members: Mapping[str, object],
        sentence: str,
        status: int = 200,
        headers: Mapping[str, str] = {},
        media: str = "application/json",
        *,
        end: bytes = b"",
    ) -> None:
        super().__init__(written(members) + end, status, headers, media)
        self._members = members
        self._sentence = sentence  # the member's name
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As an ASGI application."""
        language = language_of(scope)
        if language != "en" and isinstance(text := self._members.get(self._sentence), str):
            translated = {**self._members, self._sentence: said(language, text)}
            self.body = written(translated) + self._end
            self.headers["Content-Length"] = str(len(self.body))
            self.headers["Content-Language"] = FULL[language]
        await super().__call__(scope, receive, send)


def language_of(scope: Scope) -> Language:
    """The language that a program asks for; English unless it asks for another."""
    return accepted(Headers(scope=scope).get("accept-language", ""))


def http_status(code: str) -> int:
    """The status of HTTP for one of ours."""
    return STATUSES.get(code, STATUSES["500"])[0]


def written(value: object) -> bytes:
    """JSON in UTF-8. Half of a surrogate pair, which only an escape can hold, stays an escape."""
    try:
        return to_json(value).encode()
    except UnicodeEncodeError:
        return to_ascii_json(value).encode()


def problem(
    code: str,
    text: str,
    status: int | None = None,
    headers: Mapping[str, str] = {},
    more: Mapping[str, object] = {},
) -> Response:
    """A response that says what went wrong. `more` are further members."""
    number = http_status(code) if status is None else status
    body = {
        "type": f"/api/docs#{code}",
        "title": HTTPStatus(number).phrase,
        "status": number,
        "detail": text,
        "code": code,
        "outcome": outcome_of(code),
        **more,
    }
    return TranslatedJson(body, "detail", number, headers, PROBLEM_TYPE)


def problem_of(err: DevgateError, status: int | None = None) -> Response:
    """The response for an operation's error; `status` if it is not the HTTP status of its code."""
    return problem(err.status, str(err), status, more={"outcome": err.outcome, **err.more})
