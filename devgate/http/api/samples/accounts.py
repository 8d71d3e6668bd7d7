"""Examples: users and tokens."""

from __future__ import annotations

from collections.abc import Mapping

from devgate.http.api.samples.sample import Sample

ADDED = "2026-11-20T03:00:12.000Z"
RIGHTS: dict[str, object] = {"role": "command", "sites": ["North", "South"]}
WANG: dict[str, object] = {"name": "王芳", **RIGHTS, "enabled": True}
SHOP: dict[str, object] = {"name": "shop", "role": "command", "sites": None, "enabled": True}
SECRET = "dg_Zq0v2oXx3w4bqTzC0mJ1yV5kR7nD8sF9hL2pE6uG4aI"
WORD = "4tZ0cB8pXw1sQm7nE2yLk5vR9dJ3hG6a"

CHANGE: dict[str, object] = {
    "event": 4713, "at": "2026-11-24T12:00:00.012Z", "type": "account.removed", "imei": None,
    "kind": "user", "name": "王芳", "role": "command", "sites": None, "source": "web:anna",
    "address": "203.0.113.9",
}  # fmt: skip

ACCOUNTS: Mapping[str, Sample] = {
    "users": Sample(
        "listUsers", "Users and tokens",
        {
            "status": "200", "next": None,
            "items": [{**WANG, "added_at": ADDED, "has_password": True,
                       "invited_until": None, "second_factor": True, "provider": False}],
        },
    ),
    "user_add": Sample(
        "addUser", "Users and tokens",
        {"status": "200", "message": "user 王芳 is known with the role command", "name": "王芳",
         **RIGHTS, "invitation": WORD},
        json={"name": "王芳", **RIGHTS},
    ),
    "user_edit": Sample(
        "changeUser", "Users and tokens",
        {"status": "200", "message": "changed the user 王芳", **WANG, "enabled": False,
         "invitation": None},
        place={"name": "王芳"}, json={"enabled": False},
    ),
    "user_remove": Sample(
        "removeUser", "Users and tokens",
        {"status": "200", "message": "user 王芳 removed", "name": "王芳"},
        place={"name": "王芳"},
    ),
    "sessions": Sample(
        "listSessions", "Users and tokens",
        {
            "status": "200", "next": None,
            "items": [{
                "session": "5f0c2a91d37be648", "kind": "user", "user": "王芳", "began_at": ADDED,
                "until": "2026-11-20T15:00:12.000Z", "address": "203.0.113.9",
                "agent": "Mozilla/5.0", "current": False,
            }],
        },
    ),
    "session_end": Sample(
        "endSession", "Users and tokens",
        {"status": "200", "message": "ended 1 sessions", "count": 1},
        query={"session": "5f0c2a91d37be648"},
    ),
    "audit": Sample(
        "listChanges", "Users and tokens",
        {"status": "200", "items": [CHANGE], "next": None},
    ),
    "audit_export": Sample(
        "exportChanges", "Users and tokens",
        "at,event,type,source,address,about,detail\n"
        "2026-11-24T12:00:00.012Z,4713,account.removed,web:anna,203.0.113.9,user 王芳,\n",
    ),
    "tokens": Sample(
        "listTokens", "Users and tokens",
        {"status": "200", "next": None, "items": [{**SHOP, "added_at": ADDED}]},
    ),
    "token_add": Sample(
        "addToken", "Users and tokens",
        {"status": "200", "message": "token shop is known with the role command", "name": "shop",
         "role": "command", "sites": None, "token": SECRET},
        json={"name": "shop", "role": "command"},
    ),
    "token_edit": Sample(
        "changeToken", "Users and tokens",
        {"status": "200", "message": "changed the token shop", **SHOP, "role": "read",
         "token": None},
        place={"name": "shop"}, json={"role": "read"},
    ),
    "token_remove": Sample(
        "removeToken", "Users and tokens",
        {"status": "200", "message": "token shop removed", "name": "shop"},
        place={"name": "shop"},
    ),
}  # fmt: skip
