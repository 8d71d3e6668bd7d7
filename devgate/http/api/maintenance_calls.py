"""The calls of the API about maintenance, diagnosis and the places of sites."""

from __future__ import annotations

from devgate.gateway.operations.arguments import MAX_AT_ONCE
from devgate.gateway.operations.maintenance import MAX_REASON
from devgate.http.api import rules
from devgate.http.api import schemas as s
from devgate.http.api.call import LIMIT, Call, Field
from devgate.http.api.schemas import nullable
from devgate.store.device import MAX_NAME

_IMEIS = s.many(s.IMEI, "IMEIs", MAX_AT_ONCE)
_WHICH = (
    Field("imei", nullable(s.IMEI), "This device;"),
    Field("imeis", nullable(_IMEIS), "or these, all or none;"),
    Field("site", nullable(s.SITE), "or all devices that stand at this site, now or later."),
)
_ONE = (rules.one_of(imei=rules.TEXT, imeis=rules.LIST, site=rules.TEXT),)
# A job for many devices has these fields, too.
SAID = (
    Field("reason", nullable(s.text(s.LINE, "a text of one line", MAX_REASON, 1)),
          "Why, for those who look."),
    Field("until", nullable(s.TIME),
          "When it ends by itself, in seconds since 1970; without it, somebody ends it."),
)  # fmt: skip
_PLACE = {
    "type": "string", "title": "the `next` of a page", "maxLength": MAX_NAME + 5,
    "pattern": s.escaped(f"^(imei:[0-9]{{15}}|site:{s.LINE}+)$"),
}  # fmt: skip

CALLS: tuple[Call, ...] = (
    Call(
        "GET", "/api/maintenance", "maintenance", "List what is in maintenance", "Maintenances",
        query=(
            Field("after", _PLACE, "Behind this place: the `next` of the page before."),
            LIMIT,
        ),
        about="Sites first, then devices. A whole site has no `imei`.",
    ),
    Call(
        "POST", "/api/maintenance", "maintenance_on", "Put devices or a site in maintenance",
        "Maintained", body="json", json=(*_WHICH, *SAID), rules=_ONE,
        about="They stay connected, and customers' starts are refused: 423, with `why` "
        "`maintenance`. Staff may start them by a test. Who is in maintenance already gets this "
        "reason and this end.",
    ),
    Call(
        "POST", "/api/maintenance/end", "maintenance_off", "End maintenance", "Maintained",
        body="json", json=_WHICH, rules=_ONE,
        about="A device whose site is in maintenance stays so with its site.",
    ),
    Call(
        "GET", "/api/sites/places", "places", "Where the sites are", "Places",
        about="The middle of those of its devices that have a latitude and a longitude in their "
        "record. At most 2,000 sites, those with the most of these devices.",
    ),
    Call(
        "GET", "/api/devices/{imei}/diagnosis", "diagnosis", "How well one device does",
        "Diagnosis", place=(Field("imei", s.IMEI, "The device.", True),),
        query=(Field("days", {**s.DAYS, "default": 7}, "How many days, up to now."),),
        about="From its events and commands; at most the newest 5,000 events and 500 commands are "
        "looked at, and 20 commands of each of 60 others of its model.",
    ),
)  # fmt: skip
