"""Reports: what machines did by machine, site, day or month."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import date
from itertools import groupby
from typing import NamedTuple

from devgate.errors import CallerError
from devgate.gateway.clock import time
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply, Stream
from devgate.gateway.reports.days import as_date, day_of, of_date, zones_of
from devgate.model import iso
from devgate.store import statistics, usage_report, usage_sums, usage_work
from devgate.store.device import MAX_NAME
from devgate.store.history import Reading, newest
from devgate.store.usage_report import AskedReport, Sums

BY = ("machine", "site", "day", "month")
# Columns of a line, after those of ABOUT. Lines can be sorted by each of them.
SORTS = ("starts", "done", "failed", "unknown", "refused", "open", "seconds", "times",
         "availability")  # fmt: skip
ABOUT: Mapping[str, tuple[str, ...]] = {
    "machine": ("imei", "name", "site"), "site": ("site",), "day": ("day",), "month": ("month",),
}  # fmt: skip
FILTERS = ("by", "month", "first", "last", "site", "imei", "sort")
MAX_DAYS = 3660
# Device days that one report reads: about 6 s of a thread, for which nothing else waits. With more
# than EXACT_DEVICES, lines of machines are read page by page, of the machines that are known now.
MAX_DEVICE_DAYS, EXACT_DEVICES = 12_000_000, 100_000
MAX_LINES = 200_000  # of a CSV file that has to be sorted
MAX_OFFSET = 10_000_000
NAMES_A_READ = 500  # machines whose names one read returns


class ReportPage(NamedTuple):
    """What is read from the database for a page of a report."""

    total: Sums
    lines: Sequence[Sums]
    names: Mapping[str, tuple[str, str]]
    counted_to: float  # wall clock
    complete: bool
    paged: bool  # of the machines that are known now


async def report(gateway: Gateway, args: Args, source: str) -> Reply:
    """A page of lines, and the totals of all of them."""
    by, asked, sort = _asked(gateway, args)
    limit = arguments.limit(args)
    offset = arguments.number(args, "offset") or 0
    if offset > MAX_OFFSET:
        raise CallerError("400", f"offset: a number from 0 to {MAX_OFFSET} expected, not {offset}")
    gateway.usage.read()
    known = len(gateway.directory)
    page = await gateway.records.read(_page, by, asked, sort, limit, offset, known)
    behind = offset + len(page.lines)
    return {
        **_head(gateway, by, asked, page),
        "items": [_item(by, one, page.names) for one in page.lines],
        "total": _counts(page.total),
        "count": page.total.lines,
        "next": behind if behind < page.total.lines else None,
    }


async def export(gateway: Gateway, args: Args, source: str) -> Stream:
    """All lines, by what they are about. Raises CallerError (400) for more than MAX_LINES that are
    to be sorted."""
    by, asked, sort = _asked(gateway, args)
    known = len(gateway.directory)
    page = await gateway.records.read(_page, by, asked, sort, MAX_LINES, 0, known, names=False)
    if page.total.lines > MAX_LINES and not page.paged:
        raise CallerError(
            "400", f"there are {page.total.lines} lines, and {MAX_LINES} fit: choose a site"
        )
    reply = {**_head(gateway, by, asked, page), "columns": [*ABOUT[by], *SORTS]}
    lines = _walk(gateway, asked) if page.paged else _all(gateway, by, page.lines)
    return Stream(reply, lines)


async def _walk(gateway: Gateway, asked: AskedReport) -> AsyncGenerator[Reply, None]:
    """The lines of all machines, some at a time."""
    after = ""
    while found := await gateway.records.read(
        usage_report.machines, asked, NAMES_A_READ, after=after
    ):
        after = str(found[-1].key)
        async with aclosing(_all(gateway, "machine", found)) as lines:
            async for line in lines:
                yield line


async def _all(gateway: Gateway, by: str, lines: Sequence[Sums]) -> AsyncGenerator[Reply, None]:
    for start in range(0, len(lines), NAMES_A_READ):
        some = lines[start : start + NAMES_A_READ]
        names: Mapping[str, tuple[str, str]] = {}
        if by == "machine":
            names = await gateway.records.read(statistics.names, {str(one.key) for one in some})
        for one in some:
            yield _item(by, one, names)


def _head(gateway: Gateway, by: str, asked: AskedReport, page: ReportPage) -> Reply:
    return {
        "status": "200",
        "by": by,
        "first": as_date(asked.first).isoformat(),
        "last": as_date(asked.last).isoformat(),
        "zone": gateway.settings.report.zone,
        "counted_to": iso(page.counted_to),
        "complete": page.complete,
    }


def _page(
    conn: Reading,
    by: str,
    asked: AskedReport,
    sort: str | None,
    limit: int,
    offset: int,
    known: int,
    names: bool = True,
) -> ReportPage:
    summed = usage_sums.whole(conn)
    paged = _is_paged(conn, by, asked, sort, known, summed)
    if paged:
        total = usage_report.total(conn, asked)[0]
        total = total._replace(lines=usage_report.known(conn, asked))
        found = usage_report.machines(conn, asked, limit, offset=offset) if names else []
    elif by == "month":
        total, days = usage_report.lines(conn, asked, None, MAX_DAYS, 0, summed=summed)
        found = _by_month(days, sort)
        total = total._replace(lines=len(found))
        found = found[offset : offset + limit]
    else:
        total, found = usage_report.lines(conn, asked, sort, limit, offset, summed=summed)
    called = {}
    if by == "machine" and names:
        called = statistics.names(conn, {str(one.key) for one in found})
    state, (last, _) = usage_work.state(conn), newest(conn)
    whole = state is not None and state.position >= last
    at = time() if whole or state is None else state.at
    others = [one for one in usage_work.works(conn) if not one.name.startswith(usage_work.ZONE)]
    return ReportPage(total, found, called, at, state is not None and not others, paged)


def _is_paged(
    conn: Reading, by: str, asked: AskedReport, sort: str | None, known: int, summed: bool
) -> bool:
    """Whether there are too many days for one pass: then the lines are of the machines that are
    known now. Raises CallerError (400) for what cannot be computed then."""
    days = asked.last - asked.first + 1
    if asked.imei is not None:
        return False
    if not summed:
        if days * known > MAX_DEVICE_DAYS:
            raise CallerError(
                "400",
                f"{days} days of {known} devices are more than one report goes through until the "
                "sums of sites are made: choose fewer days, or ask later",
            )
        return False
    if by != "machine":
        return False
    _, number = usage_report.total(conn, asked)
    if sort is not None and number > MAX_DEVICE_DAYS:
        raise CallerError(
            "400",
            f"sort: {number} days of devices are more than one report sorts: choose a site or "
            "fewer days",
        )
    return sort is None and number > EXACT_DEVICES


def _by_month(days: Sequence[Sums], sort: str | None) -> list[Sums]:
    def month(one: Sums) -> str:
        return as_date(int(str(one.key))).strftime("%Y-%m")

    found = []
    for name, some in groupby(days, month):
        columns = zip(*(row[2:] for row in some), strict=True)
        found.append(Sums(name, 1, *(sum(column) for column in columns)))
    if sort == "availability":
        found.sort(key=lambda one: one.online / one.span if one.span else 2)
    elif sort is not None:
        found.sort(key=lambda one: -int(getattr(one, sort)))
    return found


def _item(by: str, one: Sums, names: Mapping[str, tuple[str, str]]) -> Reply:
    key = one.key
    about: Reply
    if by == "machine":
        name, site = names.get(str(key), ("", ""))
        about = {"imei": key, "name": name, "site": site}
    elif by == "day":
        about = {"day": as_date(int(str(key))).isoformat()}
    else:
        about = {by: key}
    return {**about, **_counts(one)}


def _counts(one: Sums) -> Reply:
    share = round(100 * one.online / one.span, 2) if one.span else None
    return {**{name: getattr(one, name) for name in SORTS[:-1]}, "availability": share}


def _asked(gateway: Gateway, args: Args) -> tuple[str, AskedReport, str | None]:
    by = arguments.choice(args, "by", BY) or "machine"
    first, last = _days(gateway, args)
    asked = AskedReport(
        by if by != "month" else "day",
        first,
        last,
        arguments.text(args, "site", MAX_NAME),
        arguments.maybe_device(args),
        arguments.own_sites(args),
    )
    return by, asked, arguments.choice(args, "sort", SORTS)


def _days(gateway: Gateway, args: Args) -> tuple[int, int]:
    """The first and the last day: of `month`, or as they are given; else the month so far."""
    zone = zones_of((gateway.settings.report.zone,))[gateway.settings.report.zone]
    today = day_of(time(), zone)
    month, first, last = _month(args), _date(args, "first"), _date(args, "last")
    if month is not None:
        if first is not None or last is not None:
            raise CallerError("400", "month: either a month or first and last expected, not both")
        following = date.fromordinal(month.toordinal() + 31).replace(day=1)
        return of_date(month), of_date(following) - 1
    if last is None:
        last = today if first is None or first <= today else first
    if first is None:
        first = of_date(as_date(last).replace(day=1))
    if not first <= last < first + MAX_DAYS:
        raise CallerError(
            "400", f"last: a day from first on, at most {MAX_DAYS} days later, expected"
        )
    return first, last


def _month(args: Args) -> date | None:
    given = args.get("month")
    if given is None:
        return None
    return _read(given, "month", "a month such as 2026-11", lambda text: f"{text}-01")


def _date(args: Args, name: str) -> int | None:
    given = args.get(name)
    if given is None:
        return None
    return of_date(_read(given, name, "a day such as 2026-11-24", lambda text: text))


def _read(given: object, name: str, what: str, as_day: Callable[[str], str]) -> date:
    try:
        if not isinstance(given, str) or len(as_day(given)) != 10:
            raise ValueError
        found = date.fromisoformat(as_day(given))
        if not 1970 < found.year < 9999:
            raise ValueError
    except ValueError:
        raise arguments.expected(name, what, given) from None
    return found
