"""The statements of a node's commit: one for all rows of a kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from functools import lru_cache
from itertools import count

from devgate.store.batch import COMMAND, KEY, KINDS, ORDERED, SPENT, names
from devgate.store.json_rows import as_json
from devgate.store.numbering import NEAR_SECONDS, Values, id_prefix
from devgate.store.timelines import TIMELINE
from devgate.store.trips import TripAnswer, Trips

# Existing rows that may be changed: open ones of this node; and 408s, which a result may still
# settle, or which may turn out to be ambiguous.
MINE = "(command.state <> 'ended' AND command.incarnation = excluded.incarnation)"
ALLOWED = (
    f"{MINE} OR (command.status = '408' AND excluded.state = 'ended' AND "
    "((excluded.ambiguous AND NOT command.ambiguous) OR excluded.late))"
)
PRESENCE = (*KINDS["presence"].columns, "node", "incarnation")
EVENT = ("n", *KINDS["event"].columns[:5], "by_device")
# Seconds by which the newest event of all may be later than those of a commit (clocks differ)
# before this one's are found by their devices.
AHEAD_SECONDS = 5


def array(texts: Iterable[str]) -> str:
    """A value for text[]."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"


def _changing(columns: Iterable[str]) -> str:
    return ", ".join(f'"{name}" = excluded."{name}"' for name in columns)


_INSERT = (
    f"INSERT INTO command ({names(COMMAND)}, incarnation) SELECT {names(COMMAND)}, $2::bigint "
    "FROM json_populate_recordset(NULL::command, $1::json) "
)
_FRESH = f"{_INSERT} ON CONFLICT DO NOTHING RETURNING id"


@lru_cache(maxsize=4)
def _known(names_spent: bool, ends: bool) -> str:
    """`names_spent`: the rows give their keys free. `ends`: the commands end now."""
    fixed = {"id", *ORDERED} if names_spent else {"id", *ORDERED, "spent"}
    changing = _changing(name for name in (*COMMAND, "incarnation") if name not in fixed)
    return (
        f"{_INSERT} ON CONFLICT (id) DO UPDATE SET {changing} "
        f"WHERE {MINE if ends else ALLOWED} RETURNING id"
    )


_PRESENCE = (
    f"INSERT INTO presence ({names(PRESENCE)}) SELECT {names(PRESENCE)} "
    "FROM json_populate_recordset(NULL::presence, $1::json) "
    f"ON CONFLICT (imei) DO UPDATE SET {_changing(PRESENCE[1:])}"
)
# The number's row stays locked until the transaction ends: it is to be the last one that is. `n`
# of the rows counts them from 1, and no event is older than the one before it. Where the nodes
# have not agreed on the timeline the statement fails, and the COMMIT behind it is none.
DISAGREED = "22012"  # division by zero
_EVENTS = f"""
WITH told AS MATERIALIZED (SELECT * FROM json_populate_recordset(NULL::event, $1::json)),
counter AS (
    UPDATE cluster SET n = o.n + $2::bigint, at = greatest(o.at, $3::float8)
    FROM (
        SELECT n / CASE WHEN timeline = {TIMELINE} THEN 1 ELSE 0 END AS n, at
        FROM cluster FOR UPDATE
    ) o RETURNING o.n, o.at
)
INSERT INTO event ({names(EVENT)})
SELECT counter.n + told.n, greatest(counter.at, max(told.at) OVER (ORDER BY told.n)), told.type,
    told.imei, told.command, told.detail,
    told.by_device OR counter.at > $3::float8 + {AHEAD_SECONDS}
FROM told CROSS JOIN (SELECT n, at FROM counter LIMIT 1) AS counter
ORDER BY told.n RETURNING n, at
"""


def insert_fresh(trips: Trips, rows: Sequence[Values], incarnation: int) -> TripAnswer:
    """Write commands that were never journalled. Returns the ids of those that are there now: the
    others have an id or a key that is there already."""
    return trips.ask(_FRESH, as_json(COMMAND, sorted(rows)), incarnation)


def update_known(
    trips: Trips, rows: Sequence[Values], ends: Set[str], incarnation: int
) -> list[TripAnswer]:
    """Write commands as they stand now, where ALLOWED; those of `ends`, which end now, where they
    are open. Returns the ids of the rows that were written."""
    kinds: dict[tuple[bool, bool], list[Values]] = {}
    for row in sorted(rows):
        frees = row[SPENT] is None and row[KEY] is not None
        kinds.setdefault((frees, row[0] in ends), []).append(row)
    return [
        trips.ask(_known(*kind), as_json(COMMAND, some), incarnation)
        for kind, some in kinds.items()
    ]


def write_presence(trips: Trips, rows: Iterable[Values], node: str, incarnation: int) -> None:
    """Write devices that are this node's; their rows are locked."""
    trips.ask(_PRESENCE, as_json(PRESENCE, ((*row, node, incarnation) for row in sorted(rows))))


def write_events(trips: Trips, events: Sequence[Values], commands: Set[str]) -> TripAnswer:
    """Number these events and write them, last of all. `commands` are the ids whose rows are
    written with them. Returns the number and the time of each."""
    newest = max(values[0] for values in events)
    numbered = zip(count(1), events, _by_device(events, commands), strict=False)
    rows = as_json(EVENT, ((number, *values, by) for number, values, by in numbered))
    return trips.ask(_EVENTS, rows, len(events), newest)


def _by_device(events: Sequence[Values], commands: Set[str]) -> Iterator[bool]:
    """As batch.found_by_device() once they are numbered, or true: what is found by its
    device may still be near its command."""
    oldest, newest = min(values[0] for values in events), max(values[0] for values in events)
    first = id_prefix(int(newest) + AHEAD_SECONDS + 1 - NEAR_SECONDS)
    end = id_prefix(int(oldest) + NEAR_SECONDS)
    for _, _, _, id, _ in events:
        yield id is None or not (first <= id < end and id in commands)
