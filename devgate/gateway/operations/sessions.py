"""Operations on sessions: list who is logged in, and end sessions."""

from __future__ import annotations

from collections.abc import Sequence

from devgate.errors import CallerError
from devgate.gateway.clock import time
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments, audit
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.model import Source, iso, shown
from devgate.store import sessions as stored
from devgate.store.sessions import StoredSession


async def sessions(gateway: Gateway, args: Args, source: str) -> Reply:
    """The sessions that have not ended, the newest first: the caller's own, or for an admin all of
    them, or those of one `user` or token."""
    who, name = Source.of(source), arguments.text(args, "user")
    found = await _of(gateway, who, name)
    return {
        "status": "200",
        "items": [
            {
                "session": one.id,
                "kind": one.kind,
                "user": one.name,
                "began_at": iso(one.began_at),
                "until": iso(one.until),
                "address": one.address,
                "agent": one.agent,
                "current": one.id == who.session,
            }
            for one in found
        ],
        "next": None,
    }


async def session_end(gateway: Gateway, args: Args, source: str) -> Reply:
    """End one `session`, or all of a `user` but the one that asks. Raises CallerError (400)."""
    who = Source.of(source)
    id, name = arguments.text(args, "session"), arguments.text(args, "user")
    if (id is None) == (name is None):
        raise CallerError("400", "session: either a session or a user expected")
    if id is not None:
        one = await gateway.records.read(stored.get, id)
        everyone = who.role == "admin" and who.sites is None
        if one is None or not (everyone or (one.kind, one.name) == ("user", who.person)):
            raise CallerError("400", f"session: no session has the id {shown(id)}")
        ids, name = [id], one.name
    else:
        found = await _of(gateway, who, name)
        ids = [one.id for one in found if one.id != who.session]
    if ids:
        await gateway.accounts.change(stored.end, ids)
        audit.note(gateway, "session.ended", who, count=len(ids), name=name)
    return {"status": "200", "message": f"ended {len(ids)} sessions", "count": len(ids)}


async def _of(gateway: Gateway, who: Source, name: str | None) -> Sequence[StoredSession]:
    """The sessions of a request. Raises CallerError (401) if the caller may not see them."""
    if who.role == "admin" and who.sites is None:
        return await gateway.records.read(stored.of, name, time())
    if not who.person:
        raise CallerError("401", "only a user who has logged in has sessions of his own")
    if name not in (None, who.person):
        raise CallerError("401", "user: these are not your own sessions; nothing was done")
    return await gateway.records.read(stored.of, who.person, time(), "user")
