"""Users and tokens: a list of each with the form that adds one, and a page for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from starlette.responses import Response

from devgate.access.names import MIN_PASSWORD
from devgate.access.tokens import ROLES
from devgate.errors import CallerError, DevgateError
from devgate.gateway.operations.reply import Reply
from devgate.http.pages.chosen import named_sites
from devgate.http.pages.view import Visit, redirect

PAGE_ROWS = 100
MAX_SITES_SHOWN = 200  # sites that the form offers to copy from
DONE_TEXTS: Mapping[str, str] = {
    "changed": "{name} was changed.",
    "removed": "{name} was removed.",
}

# Buttons that set one field alone, and the field of the operation.
SINGLE_FIELD_BUTTONS: Mapping[str, str] = {
    "invite": "invite", "new_secret": "new_secret", "no_second_factor": "no_second_factor",
    "by_provider": "provider",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class AccountKind:
    """What differs between the pages of users and of tokens."""

    kind: Literal["user", "token"]
    path: str
    title: str
    add: str  # the title of the form


USERS = AccountKind("user", "/settings/people", "Users", "Add a user")
TOKENS = AccountKind("token", "/settings/tokens", "Tokens", "Add a token")


@dataclass(frozen=True, slots=True)
class AccountPages:
    """The pages of users, or of tokens."""

    of: AccountKind

    async def show(self, visit: Visit) -> Response:
        """The list, and what was done last."""
        return await self._list(visit)

    async def add(self, visit: Visit) -> Response:
        """Add one. Its secret or invitation is shown once, on this answer."""
        fields = await visit.form()
        try:
            reply = await visit.ask(f"{self.of.kind}_add", **_given(fields, new=True))
        except DevgateError as err:
            return await self._list(visit, err, fields)
        return await self._after_change(visit, str(reply["name"]), reply)

    async def edit(self, visit: Visit) -> Response:
        """The form for one."""
        return await self._one(visit, visit.request.query_params.get("name", ""))

    async def edited(self, visit: Visit) -> Response:
        """Change or remove one, as a button of its page asks."""
        fields = await visit.form()
        name = fields.get("name", "")
        try:
            if "remove" in fields:
                await visit.ask(f"{self.of.kind}_remove", name=name)
                return self._done("removed", name)
            reply = await visit.ask(f"{self.of.kind}_edit", **self._changes(fields))
        except DevgateError as err:
            return await self._one(visit, name, err, fields)
        return await self._after_change(visit, name, reply)

    async def remove(self, visit: Visit) -> Response:
        """The page that says what the removal of one means, with the button for it."""
        visit.must(f"{self.of.kind}_remove")
        name = visit.request.query_params.get("name", "")
        title = visit.t("Remove {name}?", name=name)
        return visit.page("account_remove.html", title=title, name=name, of=self.of)

    def _changes(self, fields: Mapping[str, str]) -> dict[str, Any]:
        """The fields to change, by the button that was pressed: each sends a form of its own."""
        name: dict[str, Any] = {"name": fields.get("name", "")}
        for button, asked in SINGLE_FIELD_BUTTONS.items():
            if button in fields:
                return {**name, asked: True}
        if "enable" in fields:
            return {**name, "enabled": fields["enable"] == "1"}
        if "set_password" in fields:
            return {**name, "password": fields.get("password", "")}
        return _given(fields, new=False)

    def _link(self, visit: Visit, shown_once: object) -> str:
        """An invitation as the address that people open; a token as it is."""
        if self.of is TOKENS:
            return str(shown_once)
        return f"{visit.base}/invitation?{urlencode({'word': shown_once})}"

    async def _after_change(self, visit: Visit, name: str, reply: Reply) -> Response:
        """Go to the list; or show it at once, with the secret or invitation of this answer."""
        if shown_once := reply.get("invitation") or reply.get("token"):
            return await self._list(visit, shown_once=(name, self._link(visit, shown_once)))
        return self._done("changed", name)

    def _done(self, done: str, name: str) -> Response:
        return redirect(f"{self.of.path}?{urlencode({'done': done, 'name': name})}")

    async def _list(
        self,
        visit: Visit,
        err: DevgateError | None = None,
        given: Mapping[str, str] | None = None,
        shown_once: tuple[str, str] | None = None,
    ) -> Response:
        query = visit.request.query_params
        after = query.get("after") or None
        reply: Mapping[str, Any] = await visit.ask(
            f"{self.of.kind}s", after=after, limit=PAGE_ROWS
        )
        done, name = query.get("done", ""), query.get("name", "")[:64]
        return visit.page(
            "accounts.html",
            title=visit.t(self.of.title),
            of=self.of,
            page=reply,
            provider=visit.web.provider,
            given=given or {},
            shown_once=shown_once,
            err=err,
            done=visit.t(DONE_TEXTS[done], name=name)
            if done in DONE_TEXTS and not (err or shown_once)
            else "",
            **await _choices(visit),
        )

    async def _one(
        self,
        visit: Visit,
        name: str,
        err: DevgateError | None = None,
        given: Mapping[str, str] | None = None,
    ) -> Response:
        visit.must(f"{self.of.kind}_edit")
        known = {one.name: one for one in visit.web.gateway.accounts.all(self.of.kind)}
        if name not in known:
            raise CallerError("400", f"name: there is no {self.of.kind} named {name}")
        one = known[name]
        return visit.page(
            "account.html",
            title=name,
            of=self.of,
            one=one,
            provider=visit.web.provider,
            is_self=visit.caller is not None and visit.caller.source.person == name,
            given=given
            or {
                "role": one.role,
                "scope": "all" if one.sites is None else "some",
                "sites": "\n".join(sorted(one.sites or ())),
            },
            err=err,
            **await _choices(visit),
        )


async def _choices(visit: Visit) -> dict[str, Any]:
    """What the forms offer."""
    names = await named_sites(visit)
    return {
        "roles": ROLES,
        "sites": names[:MAX_SITES_SHOWN],
        "more": len(names) > MAX_SITES_SHOWN,
        "min_password": MIN_PASSWORD,
    }


def _given(fields: Mapping[str, str], *, new: bool) -> dict[str, Any]:
    """What the form says, as the operations take it. Raises CallerError (400)."""
    given: dict[str, Any] = {
        "name": fields.get("name", "").strip(),
        "role": fields.get("role") or None,
    }
    if fields.get("scope") == "some":
        sites = [line.strip() for line in fields.get("sites", "").splitlines() if line.strip()]
        if not sites:
            raise CallerError("400", "sites: at least one site expected, one on each line")
        given["sites"] = list(dict.fromkeys(sites))
    elif not new:
        given["all_sites"] = True
    if new and fields.get("password"):
        given["password"] = fields["password"]
    if new and fields.get("provider"):
        given["provider"] = True
    return given


OF_USERS, OF_TOKENS = AccountPages(USERS), AccountPages(TOKENS)
