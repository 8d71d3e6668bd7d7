"""The inbox of unknown outcomes: people say what became of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from starlette.responses import Response

from devgate.errors import CallerError
from devgate.gateway.operations import at_hand
from devgate.gateway.operations.inbox import STATES
from devgate.http.board import Concern
from devgate.http.pages import words
from devgate.http.pages.chosen import as_query, nothing, sites
from devgate.http.pages.live import Live, Values, of_types
from devgate.http.pages.view import Visit, redirect

PAGE_ROWS = 50
HOUR, DAY = 3600, 86400
# The filter by age, as fields of the operation, in seconds.
AGES: Mapping[str, Mapping[str, int]] = {
    "": {},
    "older than 1 h": {"older": HOUR},
    "older than 1 d": {"older": DAY},
    "older than 7 d": {"older": 7 * DAY},
    "last hour": {"newer": HOUR},
    "last day": {"newer": DAY},
    "last 7 days": {"newer": 7 * DAY},
}
EVENT_TYPES = ("command.ended", "command.late", "command.ambiguous", "command.corrected",
           "command.resolved")  # fmt: skip


class InboxFilter(NamedTuple):
    """What is looked for."""

    state: str
    site: str
    age: str
    person: str
    stops: str
    old: str
    after: str

    @classmethod
    def of(cls, visit: Visit) -> InboxFilter:
        """What the query of the page asks for."""
        given = visit.request.query_params
        state, age = given.get("state", ""), given.get("age", "")
        return cls(
            state=state if state in STATES[1:] else "",
            site=given.get("site", ""),
            age=age if age in AGES else "",
            person=given.get("person", "").strip()[:64],
            stops="1" if given.get("stops") else "",
            old="1" if given.get("old") else "",
            after=given.get("after", ""),
        )

    @property
    def query(self) -> str:
        """The filter as a query, for the next page."""
        return as_query({**self._asdict(), "after": ""})


class Together(NamedTuple):
    """Commands that are shown together: those of a group, or a single one."""

    group: str | None
    records: Sequence[Mapping[str, Any]]

    @property
    def ids(self) -> str:
        """Their ids, with commas."""
        return ",".join(str(record["command"]) for record in self.records)


async def show(visit: Visit, status: int = 200, refusal: Sequence[str] = ()) -> Response:
    """The list, with the form that resolves what is selected."""
    done = visit.request.query_params.get("done", "")
    return visit.page(
        "inbox.html",
        status,
        title=visit.t("Unknown outcomes"),
        live=True,
        sites=await sites(visit),
        states=STATES,
        ages=AGES,
        done=done if done.isdecimal() and len(done) < 6 else "",
        refusal=refusal,
        **await values(visit),
    )


async def values(visit: Visit) -> Values:
    """What the list itself shows."""
    chosen = InboxFilter.of(visit)
    page: Mapping[str, Any] = await visit.ask_or(
        at_hand.now(nothing),
        "unknown",
        state=chosen.state or None,
        site=chosen.site or None,
        person=chosen.person or None,
        stops=bool(chosen.stops),
        old=bool(chosen.old),
        after=chosen.after or None,
        limit=PAGE_ROWS,
        **AGES[chosen.age],
    )
    return {"page": page, "chosen": chosen, "together": together(page["items"])}


def together(records: Iterable[Mapping[str, Any]]) -> list[Together]:
    """The records as they stand in the list, those of a group as one."""
    found = []
    for group, some in groupby(records, lambda record: record["group"] or record["command"]):
        one = list(some)
        found.append(Together(group if one[0]["group"] else None, one))
    return found


# The ages that it shows change with the time, also without an event.
LIVE = Live("inbox.html", values, of_types(Concern.LATER, *EVENT_TYPES), pulse=60.0)


async def resolve(visit: Visit) -> Response:
    """Carry out the form: the selected commands, and groups as a whole."""
    visit.must("resolve")
    fields, chosen = await visit.form(), InboxFilter.of(visit)
    groups = [id for name, ids in fields.items() if name.startswith("g.") for id in ids.split(",")]
    singles = [name[2:] for name in fields if name.startswith("c.") and name[2:] not in groups]
    if not groups and not singles:
        return await show(visit, 400, [visit.t("Nothing was selected.")])
    done, refusal = 0, list[str]()
    for ids, together in ((groups, True), (singles, False)):
        if ids:
            some, why = await say(visit, fields, ids, together=together)
            done, refusal = done + some, refusal + why
    if refusal:
        return await show(visit, 409, refusal)
    return redirect(f"/unknown?{chosen.query}{'&' if chosen.query else ''}done={done}")


async def say(
    visit: Visit, fields: Mapping[str, str], ids: Sequence[str], *, together: bool
) -> tuple[int, list[str]]:
    """Resolve these commands as the form says. Returns how many are resolved, and why the others
    are not. Raises as `Visit.ask` does, but not for a conflict."""
    note = fields.get("note", "").strip()
    try:
        reply: Mapping[str, Any] = await visit.ask(
            "resolve",
            commands=list(ids),
            verdict=fields.get("verdict") or None,
            note=note or None,
            together=together,
        )
    except CallerError as err:
        if err.status != "409":
            raise
        more: Mapping[str, Any] = err.more
        return len(more["resolved"]), [_why(visit, one) for one in more["conflicts"]]
    return len(reply["resolved"]), []


def _why(visit: Visit, conflict: Mapping[str, Any]) -> str:
    name = conflict["key"] or conflict["command"]
    if conflict["verdict"] is None:
        return visit.t("{name} has an outcome by now, or is still under way.", name=name)
    return visit.t(
        "{name} was resolved already, by {by}: {verdict}",
        name=name, by=conflict["by"], verdict=visit.t(words.VERDICT[conflict["verdict"]]),
    )  # fmt: skip
