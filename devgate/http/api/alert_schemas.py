"""JSON Schemas of replies about alerts."""

from __future__ import annotations

from devgate.http.api.schemas import ALERT, Schema
from devgate.http.api.shapes import AT, MAYBE, TEXT, TIME, WHOLE, YES, listed, page_of, ref, shape

_DONE: dict[str, Schema] = {"status": TEXT, "message": TEXT, "name": TEXT}
_ALL: dict[str, Schema] = {"status": TEXT, "next": {"type": "null"}}

SITES: Schema = {**listed(TEXT), "type": ["array", "null"]}

ALERTS: dict[str, Schema] = {
    "Alert": shape(
        "What a rule has found. `subject` is an IMEI, a site, a command, a webhook or a door, "
        "`label` what people call it. `since`: it is so since then; `told_at`: its receivers had "
        "it then.",
        rule=TEXT, kind=TEXT, subject=TEXT, label=TEXT, site=TEXT, since=TIME, fired_at=AT,
        told_at=TIME,
    ),
    "Alerts": page_of("Alert", count=WHOLE),
    "AlertMessage": shape(
        "A message to a receiver. `state`: sent, failed, or waiting where it is tried again. "
        "`rule` is empty for a test.",
        id=TEXT, at=AT, receiver=TEXT, rule=TEXT, title=TEXT, text=TEXT,
        state={"type": "string", "enum": ["sent", "failed", "waiting"]}, tries=WHOLE, error=MAYBE,
    ),
    "AlertLog": page_of("AlertMessage"),
    "AlertRule": shape(
        "Who is notified of what. `site` is empty for all, `tag` for any, `quiet` for never, "
        "`zone` for that of the site, and `repeat` is 0 for once. `sites` and `owner` are of who "
        "made it, if he may see some sites alone: it is for these.",
        name=TEXT, kind=ALERT, site=TEXT, tag=TEXT, minutes=WHOLE, days=WHOLE,
        receivers=listed(TEXT), sites=SITES, owner=TEXT,
        quiet=TEXT, zone=TEXT, repeat=WHOLE, all_clear=YES, enabled=YES, added_at=AT,
    ),
    "AlertRules": shape("All rules.", items=listed(ref("AlertRule")), **_ALL),
    "ChangedAlertRule": shape("A rule as it is now.", **_DONE, rule=ref("AlertRule")),
    "RemovedAlertRule": shape(**_DONE),
    "AlertReceiver": shape(
        "Who is notified. `url` is without what is secret in it; `failures` counts those in a "
        "row. `sites` and `owner` are of who added it, if he may see some sites alone.",
        name=TEXT, url=TEXT, language=TEXT, enabled=YES, added_at=AT, failures=WHOLE, error=MAYBE,
        sites=SITES, owner=TEXT,
    ),
    "AlertReceivers": shape("All receivers.", items=listed(ref("AlertReceiver")), **_ALL),
    "ChangedAlertReceiver": shape(
        "A receiver as it is now. `secret` is one that was made, and null if none was.",
        **_DONE, url=TEXT, secret=MAYBE,
    ),
    "RemovedAlertReceiver": shape(**_DONE),
    "TestedAlertReceiver": shape(**_DONE),
}  # fmt: skip
