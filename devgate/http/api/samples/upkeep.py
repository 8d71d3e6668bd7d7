"""Examples: the gateway, its webhooks, and the nodes of a cluster."""

from __future__ import annotations

from collections.abc import Mapping

from devgate.http.api.samples.sample import Sample

HOOK = "shop"
URL = "https://shop.example/devgate"
HERE = {"name": HOOK}
COPIED: dict[str, object] = {
    "since": "2026-11-24T12:00:00.640Z", "copied_at": "2026-11-24T02:00:00.640Z",
    "reason": "a copy was restored, and orders after it are unknown", "keys": 0,
}  # fmt: skip
NODE: dict[str, object] = {
    "id": "a", "alive": True, "draining": False, "address": "10.0.0.1:4000", "devices": 1480,
    "in_flight": 2, "version": "0.1.0", "since": "2026-11-20T03:00:12.000Z",
}  # fmt: skip

UPKEEP: Mapping[str, Sample] = {
    "status": Sample(
        "getStatus", "Gateway",
        {
            "status": "200", "version": "0.1.0", "pid": 4711, "uptime": 379_180.5,
            "listen": {
                "device": ["0.0.0.0:12306"], "control": ["run/devgate.sock"],
                "http": ["127.0.0.1:8080"],
            },
            "connections": 2874, "registered": 2871, "devices": 3000, "in_flight": 1,
            "waiting": 0, "memory": 94_371_840, "store": "ok",
            "quarantine": None,
            "database": "sqlite:////var/lib/devgate/devgate.db", "draining": False,
            "takeovers": 12, "last_event": 4713, "clock": "ok",
            "background": {"refresh": "ok", "trim": "ok"}, "log_dropped": 0, "tasks": 2903,
        },
    ),
    "refresh": Sample(
        "refreshDevices", "Gateway",
        {"status": "200", "message": "3 changed devices are in force", "changed": 3,
         "database": "sqlite:////var/lib/devgate/devgate.db"},
    ),
    "confirm_loss": Sample(
        "confirmLoss", "Gateway",
        {"status": "200", "message": "nothing was lost, nothing is changed", "lost": None},
    ),
    "quarantine": Sample(
        "getQuarantine", "Gateway",
        {"status": "200", "message": f"every start is refused: {COPIED['reason']}",
         "quarantine": COPIED},
    ),
    "quarantine_allow": Sample(
        "listUntriedKeys", "Gateway",
        {"status": "200", "message": "keys listed as untried: 2 now, 2 in all",
         "quarantine": {**COPIED, "keys": 2}},
        json={"keys": ["order-4711", "order-4712"]},
    ),
    "quarantine_lift": Sample(
        "liftQuarantine", "Gateway",
        {"status": "200", "message": "the quarantine is lifted, starts are accepted again "
         f"({COPIED['reason']})", "quarantine": None},
    ),
    "log_level": Sample(
        "setLogLevel", "Gateway",
        {"status": "200", "message": "lines are logged from the level debug on",
         "level": "debug", "configured": "info"},
        json={"level": "debug"},
    ),
    "trim": Sample(
        "trimDatabase", "Gateway",
        {"status": "200", "message": "deleted 1200 events and 90 commands, and freed 40 keys",
         "events": 1200, "commands": 90, "keys": 40, "more": False},
    ),
    "upgrade": Sample(
        "upgradeGateway", "Gateway",
        {"status": "200", "message": "version 0.2.0 has taken over, with 2871 connections of "
         "devices", "version": "0.2.0", "former": "0.1.0", "pid": 4711, "connections": 2871,
         "closed": 0, "seconds": 0.093},
    ),
    "settings": Sample(
        "getSettings", "Gateway",
        {
            "status": "200", "file": "/etc/devgate/gateway.toml",
            "items": [{
                "key": "command.ack_timeout", "value": 10.0, "secret": False, "unit": "seconds",
                "from": "default", "restart": False,
                "about": "How long a command that was sent waits for the device's result.",
            }],
        },
    ),
    "doctor": Sample(
        "examineGateway", "Gateway",
        {
            "status": "200", "at": "2026-11-24T12:30:00.000Z",
            "items": [{
                "severity": "warning", "check": "disk",
                "message": "1.7 GB are free in /var/lib/devgate",
                "action": "make room, or set [store] max_size and keep_events",
            }],
        },
    ),
    "nodes": Sample(
        "listNodes", "Cluster",
        {"status": "200", "items": [NODE], "leader": "a", "next": None},
    ),
    "node_drain": Sample(
        "drainNode", "Cluster",
        {"status": "200", "message": "node a is drained from now on", "node": "a",
         "draining": True},
        place={"name": "a"}, json={"draining": True},
    ),
    "node_remove": Sample(
        "removeNode", "Cluster",
        {"status": "200", "message": "node c is forgotten", "node": "c"}, place={"name": "c"},
    ),
    "webhooks": Sample(
        "listWebhooks", "Webhooks",
        {
            "status": "200", "next": None,
            "items": [{
                "name": HOOK, "url": URL, "events": ["command.ended", "command.late"],
                "kept_in": "database", "state": "ok", "position": 4713, "lag": 0, "behind": 0.0,
                "under_way": 0, "failures": 0, "next_at": None, "error": None,
                "delivered_at": "2026-11-24T12:00:00.640Z", "missed": 0,
            }],
        },
    ),
    "webhook_add": Sample(
        "addWebhook", "Webhooks",
        {"status": "200", "message": "added shop; it gets every event after 4713", "name": HOOK,
         "url": URL, "after": 4713, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
        json={"name": HOOK, "url": URL, "events": "command.ended,command.late"},
    ),
    "webhook_edit": Sample(
        "changeWebhook", "Webhooks",
        {"status": "200", "message": "changed shop; it is disabled", "name": HOOK, "url": URL,
         "secret": None},
        place=HERE, json={"enabled": False},
    ),
    "webhook_remove": Sample(
        "removeWebhook", "Webhooks",
        {"status": "200", "message": "removed shop; it gets nothing more", "name": HOOK},
        place=HERE,
    ),
    "webhook_test": Sample(
        "testWebhook", "Webhooks",
        {"status": "200", "message": "shop took the test: 200 OK", "name": HOOK}, place=HERE,
    ),
    "webhook_replay": Sample(
        "replayWebhook", "Webhooks",
        {"status": "200", "message": "shop gets every event after 4700 (again); the last is 4713",
         "name": HOOK, "after": 4700},
        place=HERE, json={"after": 4700},
    ),
}  # fmt: skip
