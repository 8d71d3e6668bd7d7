"""Examples: alerts."""

from __future__ import annotations

from collections.abc import Mapping

from devgate.http.api.samples.sample import IMEI, Sample

RULE: dict[str, object] = {
    "name": "away", "kind": "offline", "site": "", "tag": "", "minutes": 15, "days": 0,
    "receivers": ["ops"], "quiet": "22:00-07:00", "zone": "Asia/Shanghai", "repeat": 240,
    "all_clear": True, "enabled": True, "added_at": "2026-11-20T03:00:12.000Z",
    "sites": None, "owner": "",
}  # fmt: skip
GIVEN = {
    "name": "away", "kind": "offline", "minutes": 15, "receivers": ["ops"],
    "quiet": "22:00-07:00", "zone": "Asia/Shanghai", "repeat": 240,
}  # fmt: skip
URL = "wecombot://b...6/"
MESSAGE = "01KAY6H2V8Q4M3N5P7R9S1T2W3"
OPS, AWAY = {"name": "ops"}, {"name": "away"}

ALERTS: Mapping[str, Sample] = {
    "alerts": Sample(
        "listAlerts", "Alerts",
        {
            "status": "200", "next": None, "count": 1,
            "items": [{
                "rule": "away", "kind": "offline", "subject": IMEI, "label": "Chair 16",
                "site": "Mall North", "since": "2026-11-24T11:45:00.000Z",
                "fired_at": "2026-11-24T12:00:10.000Z", "told_at": "2026-11-24T12:00:11.000Z",
            }],
        },
    ),
    "alert_log": Sample(
        "listAlertMessages", "Alerts",
        {
            "status": "200", "next": None,
            "items": [{
                "id": MESSAGE, "at": "2026-11-24T12:00:11.000Z", "receiver": "ops",
                "rule": "away", "title": "Machine offline: Chair 16",
                "text": "Machine offline\n- Chair 16 · Mall North", "state": "sent", "tries": 1,
                "error": None,
            }],
        },
        query={"receiver": "ops"},
    ),
    "alert_rules": Sample(
        "listAlertRules", "Alerts", {"status": "200", "next": None, "items": [RULE]}
    ),
    "alert_rule_add": Sample(
        "addAlertRule", "Alerts",
        {"status": "200", "message": "added the rule away", "name": "away", "rule": RULE},
        json=GIVEN,
    ),
    "alert_rule_edit": Sample(
        "changeAlertRule", "Alerts",
        {"status": "200", "message": "changed the rule away", "name": "away", "rule": RULE},
        place=AWAY, json={"minutes": 15},
    ),
    "alert_rule_remove": Sample(
        "removeAlertRule", "Alerts",
        {"status": "200", "message": "removed the rule away", "name": "away"}, place=AWAY,
    ),
    "alert_receivers": Sample(
        "listAlertReceivers", "Alerts",
        {
            "status": "200", "next": None,
            "items": [{
                "name": "ops", "url": URL, "language": "zh", "enabled": True,
                "added_at": "2026-11-20T03:00:12.000Z", "failures": 0, "error": None,
                "sites": None, "owner": "",
            }],
        },
    ),
    "alert_receiver_add": Sample(
        "addAlertReceiver", "Alerts",
        {"status": "200", "message": "added the receiver ops (WeCom Bot)", "name": "ops",
         "url": URL, "secret": None},
        json={"name": "ops", "url": "wecombot://BOT-KEY", "language": "zh"},
    ),
    "alert_receiver_edit": Sample(
        "changeAlertReceiver", "Alerts",
        {"status": "200", "message": "changed the receiver ops", "name": "ops", "url": URL,
         "secret": None},
        place=OPS, json={"enabled": False},
    ),
    "alert_receiver_remove": Sample(
        "removeAlertReceiver", "Alerts",
        {"status": "200", "message": "removed the receiver ops", "name": "ops"}, place=OPS,
    ),
    "alert_receiver_test": Sample(
        "testAlertReceiver", "Alerts",
        {"status": "200", "message": "ops took the test: it took the message", "name": "ops"},
        place=OPS,
    ),
}  # fmt: skip
