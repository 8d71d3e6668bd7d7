"""The calls of the API about users and tokens."""

from __future__ import annotations

from devgate.access.tokens import ROLES
from devgate.http.api import rules
from devgate.http.api import schemas as s
from devgate.http.api.call import FOR_SHEET, LIMIT, Call, Field
from devgate.http.api.schemas import nullable
from devgate.store.accounts import MAX_SITES

_ROLE = s.choice(ROLES, default="command")
_SITES = s.many(s.SITE, "sites", MAX_SITES)
_NAME = Field("name", s.KNOWN_NAME, "Its name in the list.", True)
_NEW_NAME = Field("name", s.ACCOUNT_NAME, "What it is called from now on.", True)
_RIGHTS = (
    Field("role", nullable(_ROLE), "What it may do: look, also start and stop, or everything."),
    Field("sites", nullable(_SITES), "Only for devices of these sites; without it, for all."),
)
_CHANGED_RIGHTS = (
    *_RIGHTS,
    Field("all_sites", nullable(s.YES), "true: for all sites again."),
    Field("enabled", nullable(s.YES), "false: it is refused until this is true again."),
)
_ALL_OR_SOME = rules.not_both(all_sites=rules.TRUE, sites=rules.LIST)
_BY_PROVIDER = rules.not_both(provider=rules.TRUE, password=rules.TEXT)
_PAGE = (
    Field("after", s.KNOWN_NAME, "Those behind this name: the `next` of the page before."),
    LIMIT,
)

_AUDIT = (
    Field("source", s.SOURCE, "Only by this one: `web:anna`, `anna`, `socket`."),
    Field("events", s.CHANGES, "Only of these types: `account`, or `session.began`."),
    Field("since", s.TIME, "At that time or later, in seconds since 1970."),
    Field("until", s.TIME, "Before that time, in seconds since 1970."),
)

CALLS: tuple[Call, ...] = (
    Call("GET", "/api/users", "users", "List the users", "Users", query=_PAGE),
    Call(
        "POST", "/api/users", "user_add", "Add a user", "AddedUser", body="json",
        created="name",
        json=(
            _NEW_NAME, *_RIGHTS,
            Field("password", nullable(s.PASSWORD), "Without it, there is an invitation."),
            Field("provider", nullable(s.YES), "true: through the provider alone, no password."),
        ),
        rules=(_BY_PROVIDER,),
        about="Without `password` the answer has an invitation: at `/invitation?word=` and that "
        "word the user sets a password, once, within seven days.",
    ),
    Call(
        "PATCH", "/api/users/{name}", "user_edit", "Change a user", "ChangedUser",
        place=(_NAME,), body="json",
        json=(
            *_CHANGED_RIGHTS,
            Field("password", nullable(s.PASSWORD), "Another password: the sessions end."),
            Field("invite", nullable(s.YES), "true: make an invitation to set a password."),
            Field("no_second_factor", nullable(s.YES), "true: turn the second factor off."),
            Field("provider", nullable(s.YES), "true: from now on through the provider alone; a "
                  "password or an invitation ends that."),
        ),
        rules=(
            _ALL_OR_SOME, _BY_PROVIDER, rules.not_both(provider=rules.TRUE, invite=rules.TRUE)
        ),
        about="What is given, and nothing else. It is in force at once, at every node.",
    ),
    Call(
        "DELETE", "/api/users/{name}", "user_remove", "Remove a user", "RemovedAccount",
        place=(_NAME,), statuses={"400": 404}, about="The sessions end.",
    ),
    Call(
        "GET", "/api/sessions", "sessions", "List who is logged in", "Sessions",
        query=(Field("user", s.KNOWN_NAME, "Only of this user or token."),),
    ),
    Call(
        "DELETE", "/api/sessions", "session_end", "End sessions", "EndedSessions",
        query=(
            Field("session", s.SESSION, "This one, by its id in the list."),
            Field("user", s.KNOWN_NAME, "Or all of this user or token."),
        ),
        statuses={"400": 404},
    ),
    Call(
        "GET", "/api/audit", "audit", "List who changed what, newest first", "Audit",
        query=(*_AUDIT, Field("after", s.POSITION, "Those before this number: the `next` of the "
                              "page before."), LIMIT),
        about="Changes of accounts, devices, webhooks and settings, and logins: the events that "
        "tell them.",
    ),
    Call(
        "GET", "/api/audit/export", "audit_export", "Who changed what, as CSV", "", stream="csv",
        query=(*_AUDIT, FOR_SHEET),
    ),
    Call("GET", "/api/tokens", "tokens", "List the tokens", "Tokens", query=_PAGE),
    Call(
        "POST", "/api/tokens", "token_add", "Add a token", "AddedToken", body="json",
        created="name", json=(_NEW_NAME, *_RIGHTS),
        about="The answer has the secret, which is shown only once.",
    ),
    Call(
        "PATCH", "/api/tokens/{name}", "token_edit", "Change a token", "ChangedToken",
        place=(_NAME,), body="json",
        json=(
            *_CHANGED_RIGHTS,
            Field("new_secret", nullable(s.YES), "true: make another secret; the old one ends."),
        ),
        rules=(_ALL_OR_SOME,),
        about="What is given, and nothing else. It is in force at once, at every node.",
    ),
    Call(
        "DELETE", "/api/tokens/{name}", "token_remove", "Remove a token", "RemovedAccount",
        place=(_NAME,), statuses={"400": 404}, about="Whoever shows it is refused from now on.",
    ),
)  # fmt: skip
