"""The calls of the API about commands that were ordered: their records and unknown outcomes."""

from __future__ import annotations

from devgate.http.api import schemas as s
from devgate.http.api.call import DEVICE_FILTER, FOR_SHEET, LIMIT, Call, Field
from devgate.http.api.schemas import nullable

_ID = Field("id", s.ID, "The command, by the id that the start or stop answered.", True, "command")
_COMMANDS = (
    DEVICE_FILTER,
    Field("key", s.KEY, "Only under this key."),
    Field("state", s.STATE, "Only in this state."),
    Field("outcome", s.OUTCOMES, "Only with one of these outcomes: `failed,unknown`."),
    Field("kind", s.KIND, "Only starts, or stops."),
    Field("site", s.SITE, "Only of devices that stand at this site now."),
    Field("source", s.SOURCE, "Only what was asked by this way: `web:anna`, `http:shop`."),
    Field("since", s.TIME, "Taken at that time or later, in seconds since 1970."),
    Field("until", s.TIME, "Taken before that time, in seconds since 1970."),
)

CALLS: tuple[Call, ...] = (
    Call(
        "GET", "/api/commands", "history", "List commands, newest first", "Commands",
        query=(
            *_COMMANDS,
            Field("count", s.YES, "true: say how many there are, up to 10,000."),
            Field("after", s.ID, "Commands behind this id: the `next` of the page before."),
            Field("before", s.ID, "Commands in front of this id: the `prev` of the page behind."),
            LIMIT,
        ),
        about="A page may be shorter than `limit` and still have a `next`: what is looked "
        "for by site, source or kind is looked for among some thousands of commands at a time.",
    ),
    Call(
        "GET", "/api/commands/export", "history_export", "Export commands as CSV", "",
        stream="csv",
        query=(*_COMMANDS, FOR_SHEET),
    ),
    Call(
        "GET", "/api/commands/{id}", "command", "One command's record", "Command", place=(_ID,),
        statuses={"400": 404},
    ),
    Call(
        "POST", "/api/commands/{id}/cancel", "cancel", "Cancel a command that waits", "Command",
        place=(_ID,), statuses={"400": 404}, about="409 if it was sent or has ended.",
    ),
    Call(
        "GET", "/api/commands/{id}/story", "story", "All that happened to a command", "Story",
        place=(_ID,), statuses={"400": 404}, about="Also to its device, around it.",
    ),
    Call(
        "GET", "/api/unknown", "unknown", "List unknown outcomes", "Unknowns",
        query=(
            Field("state", s.INBOX, "resolved: what people have said."),
            DEVICE_FILTER,
            Field("site", s.SITE, "Only of this site."),
            Field("person", s.PERSON, "Only those that this one asked for, or resolved."),
            Field("older", s.AGE, "Only those that ended longer ago, in seconds."),
            Field("newer", s.AGE, "Only those that ended at most so long ago, in seconds."),
            Field("stops", s.YES, "true: also stops."),
            Field("old", s.YES, "true: also those from before the inbox was there."),
            Field("after", s.ID, "Behind this id: the `next` of the page before."),
            LIMIT,
        ),
        about="Commands that were sent and got no answer in time, and that nobody has resolved: "
        "newest first, those of a group together. `contradicted`: the answer came behind the "
        "verdict, and says otherwise.",
    ),
    Call(
        "POST", "/api/unknown/resolve", "resolve", "Resolve unknown outcomes", "Resolved",
        body="json", statuses={"400": 404},
        json=(
            Field("commands", s.IDS, "The commands, by their ids.", True),
            Field("verdict", s.VERDICT, "What became of them.", True),
            Field("note", nullable(s.NOTE), "A sentence for those who look at it later."),
            Field("by", nullable(s.PERSON), "Who says so, where that is not the token's name."),
            Field("together", nullable(s.YES), "true: also the others of their groups."),
        ),
        about="The first verdict counts. 409 names who was earlier; `resolved` has the commands "
        "that this request has resolved.",
    ),
)  # fmt: skip
