"""JSON Schemas of replies about users and tokens."""

from __future__ import annotations

from devgate.http.api.schemas import Schema
from devgate.http.api.shapes import (
    AT,
    MAYBE,
    MAYBE_WHOLE,
    TEXT,
    TIME,
    WHOLE,
    YES,
    listed,
    page_of,
    ref,
    shape,
)

_RIGHTS: dict[str, Schema] = {
    "name": TEXT,
    "role": {"type": "string", "enum": ["read", "command", "admin"]},
    "sites": {**listed(TEXT), "type": ["array", "null"]},
}
_ONE: dict[str, Schema] = {**_RIGHTS, "enabled": YES}
_SAID: dict[str, Schema] = {"status": TEXT, "message": TEXT}

ACCOUNTS: dict[str, Schema] = {
    "User": shape(
        "A user. `sites` null: all of them.",
        **_ONE, added_at=AT, has_password=YES, invited_until=TIME, second_factor=YES,
        provider=YES,
    ),
    "Users": page_of("User"),
    "AddedUser": shape("`invitation`: where no password was given.", **_SAID, **_RIGHTS,
                       invitation=MAYBE),
    "ChangedUser": shape("", **_SAID, **_ONE, invitation=MAYBE),
    "Session": shape(
        "Where somebody is logged in. `user`: the name of the user or token.",
        session=TEXT, kind=TEXT, user=TEXT, began_at=AT, until=AT, address=TEXT, agent=TEXT,
        current=YES,
    ),
    "Sessions": page_of("Session"),
    "EndedSessions": shape("", **_SAID, count=WHOLE),
    "Audit": shape(
        "A page; `next` is the `after` of the next one, null on the last.",
        status=TEXT, items=listed(ref("Event")), next=MAYBE_WHOLE,
    ),
    "Token": shape("A token. `sites` null: all of them.", **_ONE, added_at=AT),
    "Tokens": page_of("Token"),
    "AddedToken": shape("`token` is the secret.", **_SAID, **_RIGHTS, token=TEXT),
    "ChangedToken": shape("`token`: the new secret, where one was asked for.", **_SAID, **_ONE,
                          token=MAYBE),
    "RemovedAccount": shape("", **_SAID, name=TEXT),
}  # fmt: skip
