"""The paths of all pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from devgate.errors import DevgateError
from devgate.http.pages import (
    accounts,
    alerts,
    api_docs,
    audit,
    begin,
    bulk,
    command,
    device,
    devices,
    diagnosis,
    find,
    fleet,
    header,
    importing,
    inbox,
    invitation,
    labels,
    live,
    login,
    machine,
    maintenance,
    orders,
    own_account,
    provider_login,
    report,
    settings,
    site_map,
    unknown,
    upgrading,
    webhooks,
    words,
    zones,
)
from devgate.http.pages.view import Visit
from devgate.http.place import PathMethods
from devgate.http.problems import Problem, http_status
from devgate.http.web import Web

PageHandler = Callable[[Visit], Awaitable[Response]]


class Static(StaticFiles):
    """The static files. The browser asks each time whether one changed, as they are few and
    small."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file that the browser asks for again each time."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def routes(web: Web) -> list[BaseRoute]:
    """All pages."""

    def page(path: str, show: PageHandler, **others: PageHandler) -> Route:
        """One path with all its methods: `show` is for GET and HEAD."""
        handlers = {"GET": show, **others}
        return Route(
            path, PathMethods({name: _endpoint(web, one) for name, one in handlers.items()})
        )

    def living(
        path: str, show: PageHandler, shown: live.Live, **others: PageHandler
    ) -> list[Route]:
        """A live page, and below /live the stream of its changes."""
        return [page(path, show, **others), page(f"/live{path}", live.following(shown))]

    def button(path: str, press: PageHandler) -> Route:
        """A path that a form of another page posts to."""
        return Route(path, PathMethods({"POST": _endpoint(web, press)}))

    return [
        *living("/", fleet.show, fleet.LIVE),
        *living("/devices", devices.show, devices.LIVE),
        page("/devices/add", machine.add, POST=machine.added),
        page("/devices/import", importing.show, POST=importing.preview),
        button("/devices/import/take", importing.import_upload),
        *living("/devices/{imei}", device.show, device.LIVE),
        page("/devices/{imei}/edit", machine.edit, POST=machine.edited),
        page("/devices/{imei}/disable", machine.confirm, POST=machine.disabled),
        page("/devices/{imei}/remove", machine.confirm, POST=machine.removed),
        button("/devices/{imei}/enable", machine.enabled),
        page("/devices/{imei}/diagnosis", diagnosis.show),
        page("/devices/{imei}/maintenance", maintenance.one, POST=maintenance.begin),
        page("/devices/{imei}/frames", live.frames),
        page("/devices/{imei}/{what}", device.confirm, POST=device.order),
        *living(unknown.PATH, unknown.show, unknown.LIVE, POST=unknown.act),
        *living(alerts.PATH, alerts.show, alerts.LIVE, POST=alerts.act),
        page(alerts.ADD_RULE, alerts.rule, POST=alerts.store_rule),
        page("/alerts/rules/{name}", alerts.rule, POST=alerts.store_rule),
        page(alerts.ADD_RECEIVER, alerts.receiver, POST=alerts.store_receiver),
        page("/alerts/receivers/{name}", alerts.receiver, POST=alerts.store_receiver),
        *living(maintenance.PATH, maintenance.show, maintenance.LIVE, POST=maintenance.act),
        page("/bulk", bulk.show_all, POST=bulk.begin),
        *living("/bulk/{id}", bulk.show, bulk.LIVE),
        button("/bulk/{id}/cancel", bulk.cancel),
        page("/find", find.show),
        page("/map", site_map.show),
        page("/orders", orders.show),
        *living("/commands/{id}", command.show, command.LIVE, POST=command.resolve),
        *living("/unknown", inbox.show, inbox.LIVE, POST=inbox.resolve),
        page("/labels", labels.show),
        page("/reports", report.show),
        page("/settings", settings.first),
        page(begin.PATH, begin.show, POST=begin.make_token),
        page(zones.PATH, zones.show, POST=zones.change),
        page("/settings/configuration", settings.configuration),
        page("/settings/texts", settings.texts),
        page("/settings/doctor", settings.doctor),
        page(upgrading.PATH, upgrading.show, POST=upgrading.act),
        page(webhooks.PATH, webhooks.show, POST=webhooks.act),
        page(webhooks.PATH + "/{name}/remove", webhooks.remove),
        *(
            one
            for kind in (accounts.OF_USERS, accounts.OF_TOKENS)
            for one in (
                page(kind.of.path, kind.show, POST=kind.add),
                page(kind.of.path + "/edit", kind.edit, POST=kind.edited),
                page(kind.of.path + "/remove", kind.remove),
            )
        ),
        page(audit.PATH, audit.show),
        page(own_account.PATH, own_account.show, POST=own_account.act),
        page(own_account.PATH + "/second-factor", own_account.second, POST=own_account.turned_on),
        page("/api/docs", api_docs.show),
        page("/login", login.show, POST=login.enter),
        page(provider_login.PATH, provider_login.begin),
        page(provider_login.CALLBACK, provider_login.ended),
        page("/invitation", invitation.show, POST=invitation.accept),
        button("/logout", login.leave),
        button("/preferences", login.prefer),
        Mount("/static", Static(directory=Path(__file__).parent / "static")),
    ]


def _endpoint(web: Web, show: PageHandler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        visit = Visit(web, request)
        try:
            visit.unknown = await header.count(visit)
            return await show(visit)
        except Problem as err:
            code, number, text = err.code, err.status, str(err)
        except DevgateError as err:
            code, number, text = err.status, http_status(err.status), str(err)
        return visit.page(
            "problem.html", number, code=code, text=text, title=visit.t("Sorry"),
            advice=words.ADVICE.get(code, words.ADVICE["500"]),
        )  # fmt: skip

    return endpoint
