"""One visit: the viewer, the language and the zone, and the page that is made of them."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Container, Iterator, Mapping
from contextlib import suppress
from datetime import tzinfo
from functools import partial
from typing import Any

import trio
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from devgate.errors import CallerError, DevgateError, StoreError
from devgate.gateway.clock import time
from devgate.gateway.operations import quarantine
from devgate.gateway.operations.reply import Reply, Stream
from devgate.http.api import arguments
from devgate.http.auth import WebCaller, refuse
from devgate.http.pages import words
from devgate.http.pages.drawing import templates
from devgate.http.pages.i18n import chosen, translate
from devgate.http.pages.messages import said
from devgate.http.pages.sections import Section, sections
from devgate.http.problems import Problem, http_status
from devgate.http.web import Web
from devgate.language.choice import FULL, Language
from devgate.model import Imei, imei

LANGUAGE, THEME, ZONE, VISITOR = (
    "devgate_language", "devgate_theme", "devgate_zone", "devgate_visitor",
)  # fmt: skip
THEMES = ("auto", "light", "dark")
YEAR_SECONDS = 365 * 86400
RETRY_SECONDS = 5.0  # until a page tries again to read a database that could not be read
# The live parts of every page: what is wrong with the gateway, and how many outcomes are
# unresolved.
COMMON_PARTS = frozenset({"banner", "unresolved"})
SEEN = "seen"  # in the address of a page's stream: the newest event that the page may show


class Visit:
    """A request for a page, or for the stream of its changes.

    With `scripted`, times are left empty and the script fills them in: so the HTML is the same in
    all zones, and for as long as nothing changes.
    """

    def __init__(self, web: Web, request: Request) -> None:
        self.web = web
        self.request = request
        caller = request.scope.get("devgate.caller")
        self.caller: WebCaller | None = caller if isinstance(caller, WebCaller) else None
        cookies = request.cookies
        accepted = request.headers.get("accept-language", "")
        self.language: Language = chosen(cookies.get(LANGUAGE), accepted)
        theme = cookies.get(THEME, "")
        self.theme = theme if theme in THEMES else "auto"
        self.zone_name = cookies.get(ZONE)
        self.zone: tzinfo = words.zone(self.zone_name)
        self.now = time()
        self.seen = web.events.last  # the page shows at least the events up to this one
        self.scripted = False
        self.away = ""  # why the database could not be read for this page
        self.unknown = ""  # how many unknown outcomes are unresolved, for the header
        known = cookies.get(web.sessions.prefix + VISITOR, "")
        self.visitor = known if 20 <= len(known) <= 64 else secrets.token_urlsafe(24)

    def t(self, text: str, **values: object) -> str:
        """A text in the language of the viewer."""
        return translate(self.language, text, **values)

    def said(self, message: str) -> str:
        """A message of the gateway, in the language of the viewer."""
        return said(self.language, message)

    def may(self, operation: str) -> bool:
        """Whether the viewer may ask for this operation."""
        return self.caller is not None and self.caller.may(operation)

    def must(self, operation: str) -> WebCaller:
        """The viewer. Raises Problem (403) if that one may not ask for this operation."""
        if self.caller is None or not self.caller.may(operation):
            refuse(self.web, self.request, "role", self.caller, operation)
            raise Problem("401", "your role does not allow this; nothing was done")
        return self.caller

    async def ask(self, type: str, **args: object) -> Reply:
        """The reply of an operation, asked with the rights of the viewer.

        Raises Problem if that one may not, and DevgateError as `dispatch` does.
        """
        caller = self.must(type)
        given = {name: value for name, value in args.items() if value is not None}
        reply = await self.web.dispatch({"type": type, **given}, caller.source)
        assert not isinstance(reply, Stream), "pages ask for no streams here"
        with suppress(StoreError):  # then the page shows less of these devices
            await self.web.gateway.knowledge.learn(_imeis(reply))
        return reply

    async def ask_or(
        self, at_hand: Callable[[], Awaitable[Reply]], type: str, **args: object
    ) -> Reply:
        """As ask(); but at_hand(), from memory, if the database cannot be read. `away` says so."""
        if self.sites is not None:  # replies from memory are of all sites
            return await self.ask(type, **args)
        records, (failed, why) = self.web.gateway.records, self.web.unread
        if records.stuck:
            self.away = records.state
        elif records.state != "ok" and trio.current_time() < failed + RETRY_SECONDS:
            self.away = why
        if not self.away:  # one wait for a database that does not answer is enough
            try:
                return await self.ask(type, **args)
            except StoreError as err:
                self.away = str(err)
                self.web.unread = trio.current_time(), self.away
        return await at_hand()

    @property
    def sites(self) -> frozenset[str] | None:
        """The sites that the viewer is limited to; None: not limited."""
        return self.caller.sites if self.caller else None

    @property
    def role(self) -> str:
        """The role of the viewer, as a key of the translations."""
        return f"role.{self.caller.role}" if self.caller else ""

    @property
    def sections(self) -> list[Section]:
        """The sections of the settings that the viewer may open."""
        return sections(self.may)

    @property
    def trouble(self) -> str:
        """What is wrong with the database; "" for an unknown viewer."""
        if self.caller is None:
            return ""
        state = self.web.gateway.records.state
        return self.away or ("" if state == "ok" else state)

    @property
    def held(self) -> Mapping[str, Any] | None:
        """The quarantine; None if there is none, or for an unknown viewer."""
        return None if self.caller is None else quarantine.found(self.web.gateway)

    @property
    def live(self) -> str:
        """The address of the stream of this page's changes: its own path below /live."""
        url = self.request.url
        query = f"{url.query}&" if url.query else ""
        return f"/live{url.path}?{query}{SEEN}={self.seen}"

    @property
    def base(self) -> str:
        """The address by which people reach the pages, without a path."""
        url = self.request.url
        return self.web.settings.public or f"{url.scheme}://{url.netloc}"

    @property
    def device(self) -> Imei:
        """The device that the path names. Raises CallerError (400)."""
        return imei(self.request.path_params["imei"])

    @property
    def form_token(self) -> str:
        """The hidden field of every form, without which no other site can send it."""
        session = self.caller.session if self.caller else None
        return self.web.sessions.form_token(session, self.visitor)

    async def form(self) -> Mapping[str, str]:
        """The fields of a form of ours. Raises CallerError for one that comes from elsewhere, and
        Problem as `arguments.form` does."""
        fields = await arguments.form(self.request)
        self.must_be_own_form(fields)
        return fields

    def must_be_own_form(self, fields: Mapping[str, str]) -> None:
        """Raises CallerError for the fields of a form that comes from elsewhere."""
        session = self.caller.session if self.caller else None
        if not self.web.sessions.is_own_form(session, self.visitor, fields.get("form", "")):
            raise CallerError(
                "400", "this form is no longer valid; load its page again; nothing was sent"
            )

    def page(
        self,
        template: str,
        status: int = 200,
        /,
        *,
        err: DevgateError | None = None,
        **values: Any,
    ) -> Response:
        """A page made from a template; `status` is that of HTTP. With `err` it has that one's
        status, and the template has its text as `problem`."""
        if err is not None:
            status, values = http_status(err.status), {"problem": str(err), **values}
        html = templates.get_template(template).render(self._context(values))
        response = HTMLResponse(html, status)
        name = self.web.sessions.prefix + VISITOR
        self.remember(response, name, self.visitor, hidden=True)
        return response

    def parts(
        self, template: str, values: Mapping[str, Any], which: Container[str] | None = None
    ) -> dict[str, str]:
        """The live parts of a page: all its blocks but the main one, or those of `which`."""
        base, found = templates.get_template("base.html"), templates.get_template(template)
        context = found.new_context(self._context(values))
        blocks = {**found.blocks, **{name: base.blocks[name] for name in COMMON_PARTS}}
        return {
            name: "".join(block(context))
            for name, block in blocks.items()
            if name != "main" and (which is None or name in which)
        }

    def drawn(self, template: str, values: Mapping[str, Any]) -> str:
        """A piece of a page, made from this template."""
        return templates.get_template(template).render(self._context(values))

    def _context(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a template: those of all templates, and these."""
        return {
            "visit": self,
            "t": self.t,
            "said": self.said,
            "lang": FULL[self.language],
            "when": self.when,
            "span": partial(words.span, self.language),
            "ago": self.ago,
            "long_of": partial(words.long_of, self.language),
            "asked": self.asked,
            "read_long": words.read_long,
            "path": self.request.url.path,
            **values,
        }

    def when(self, text: object, form: str = "full") -> Markup:
        """A time in the viewer's zone. The script corrects it if the zone is not known yet."""
        at = words.moment(text)
        if at is None:
            return Markup("")
        return words.time_tag(
            text, form, "" if self.scripted else words.formed(at, form, self.zone, self.language)
        )

    def ago(self, text: object) -> Markup:
        """How long ago that is. The script keeps it up to date."""
        at = words.moment(text)
        if at is None:
            return Markup("")
        span = "" if self.scripted else words.span(self.language, self.now - at.timestamp())
        return words.time_tag(text, "span", span)

    def asked(self, record: Mapping[str, Any]) -> str:
        """`start 15 min`: what a command asks of its device."""
        type, long = self.t(record.get("kind") or record["type"]), record.get("long")
        if not long:
            return type
        times = self.web.gateway.directory.counts_times(record["imei"])
        return f"{type} {words.long_of(self.language, long, 'times' if times else 'seconds')}"

    def remember(self, response: Response, name: str, value: str, *, hidden: bool = False) -> None:
        """Set a cookie for a year; `hidden` from scripts."""
        response.set_cookie(
            name, value, YEAR_SECONDS, httponly=hidden, samesite="lax", secure=self.secure
        )

    @property
    def secure(self) -> bool:
        """Whether the browser came by TLS."""
        return self.web.secure


def _imeis(reply: Reply) -> Iterator[str]:
    """The devices that a reply is about: pages show with a command what its device counts."""
    items: Any = reply.get("items", ())
    for item in (reply, *items):
        if isinstance(item, Mapping) and isinstance(device := item.get("imei"), str):
            yield device


def redirect(path: str) -> Response:
    """Redirect to another page after a form, so that a reload does not send the form again."""
    return RedirectResponse(path, 303)


def own_path(given: str | None) -> str:
    """A path on this site to go on to, and never another site's address."""
    if given and given.startswith("/") and not given.startswith(("//", "/\\")):
        return given if given.isprintable() and len(given) < 1000 else "/"
    return "/"
