"""The page on which another version takes over from the one that runs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import trio
from starlette.responses import Response

from devgate.errors import DevgateError
from devgate.http.pages.view import Visit

PATH = "/settings/upgrade"


async def show(visit: Visit) -> Response:
    """The version that runs, the one on the disk, and the button."""
    visit.must("upgrade")
    return await _page(visit)


async def act(visit: Visit) -> Response:
    """Let it take over. The process that ends shows the result, because the viewer may have to log
    in again at the new one."""
    await visit.form()
    try:
        return await _page(visit, done=await visit.ask("upgrade"))
    except DevgateError as err:
        return await _page(visit, err)


async def _page(
    visit: Visit, err: DevgateError | None = None, *, done: Mapping[str, Any] | None = None
) -> Response:
    # A package that was installed since this process began has another version.
    there = await trio.to_thread.run_sync(version, "devgate")
    return visit.page(
        "upgrade.html",
        title=visit.t("Upgrade"),
        there=there,
        done=done,
        err=err,
    )
