"""The calls of the API about a quarantine, an upgrade, the cluster's nodes and the webhooks."""

from __future__ import annotations

from devgate.gateway.operations.quarantine import MAX_KEYS
from devgate.http.api import rules
from devgate.http.api import schemas as s
from devgate.http.api.call import Call, Field
from devgate.http.api.schemas import nullable

_HOOK = Field("name", s.KNOWN_NAME, "The webhook, by its name in the list.", True)
_HOOK_FIELDS = (
    Field("events", nullable(s.EVENTS), "Only of these types: `device`, or "
          "`command.ended,device`; null for all."),
    Field("secret", nullable(s.SECRET), "What signs the events: `whsec_` and base64."),
)  # fmt: skip
_KEYS = s.many(s.KEY, "keys", MAX_KEYS)
_NODE = Field("name", s.KNOWN_NAME, "The node, by its id in the list.", True, "node")

CALLS: tuple[Call, ...] = (
    Call(
        "GET", "/api/quarantine", "quarantine", "Whether starts are refused after a restore",
        "QuarantineState",
    ),
    Call(
        "POST", "/api/quarantine/untried", "quarantine_allow", "List keys as untried",
        "QuarantineState", body="json",
        json=(Field("keys", _KEYS, "Keys of orders that were never tried.", True),),
        about="Starts with them are accepted in the quarantine. 409 if there is none.",
    ),
    Call(
        "POST", "/api/quarantine/lift", "quarantine_lift", "Lift the quarantine",
        "QuarantineState", about="All starts are accepted again. 409 if there is none.",
    ),
    Call(
        "POST", "/api/log-level", "log_level", "Log from another level on", "LogLevel",
        body="json",
        json=(Field("level", nullable(s.LEVEL), "The least that is logged."),),
        about="Until the configuration is reloaded, or the gateway restarted. Without `level` it "
        "is only shown.",
    ),
    Call(
        "POST", "/api/upgrade", "upgrade", "Let another version take over", "Upgraded",
        body="json",
        about="The gateway starts its program again, as it is on disk now, which takes over with "
        "every connection. 409 if it cannot: then nothing has changed.",
    ),
    Call(
        "GET", "/api/settings", "settings", "The configuration that is in force", "Settings",
        about="What stands in gateway.toml is changed there. Secrets are left out.",
    ),
    Call(
        "GET", "/api/doctor", "doctor", "Examine the gateway and its machine", "Examined",
        about="Limits, ports, disk, database, clock, certificates, receivers. It takes some "
        "seconds; what was found in the last half minute is shown again.",
    ),
    Call(
        "GET", "/api/nodes", "nodes", "List the nodes of the cluster", "Nodes",
        statuses={"400": 404}, about="404 for a gateway that works alone.",
    ),
    Call(
        "POST", "/api/nodes/{name}/drain", "node_drain", "Drain a node", "DrainedNode",
        place=(_NODE,), statuses={"400": 404}, body="json",
        json=(Field("draining", s.YES, "false: take that back."),),
        about="Its devices go to the other nodes. 409 if it is dead, or if there is no other.",
    ),
    Call(
        "DELETE", "/api/nodes/{name}", "node_remove", "Forget a dead node", "RemovedNode",
        place=(_NODE,), statuses={"400": 404}, about="409 for one that lives.",
    ),
    Call("GET", "/api/webhooks", "webhooks", "List the webhooks", "Webhooks"),
    Call(
        "POST", "/api/webhooks", "webhook_add", "Add a webhook", "ChangedWebhook", body="json",
        created="name",
        json=(
            Field("name", s.PLAIN_NAME, "What it is called from now on.", True),
            Field("url", s.WEBHOOK_URL, "Where events are posted to.", True),
            *_HOOK_FIELDS,
            Field("after", nullable(s.POSITION),
                  "It gets the events behind this number; without it, those from now on."),
        ),
        about="It is in force at once, and kept in the database. Without `secret` one is made, "
        "which this answer tells and no other ever will.",
    ),
    Call(
        "PATCH", "/api/webhooks/{name}", "webhook_edit", "Change a webhook", "ChangedWebhook",
        place=(_HOOK,), body="json",
        json=(
            Field("url", nullable(s.WEBHOOK_URL), "Where events are posted to."),
            *_HOOK_FIELDS,
            Field("new_secret", s.YES, "true: make another secret, which this answer tells."),
            Field("enabled", s.YES, "false: it gets nothing until this is true again."),
        ),
        rules=(rules.not_both(new_secret=rules.TRUE, secret=rules.TEXT),),
        about="What is given, and nothing else. One of gateway.toml can be enabled and disabled.",
    ),
    Call(
        "DELETE", "/api/webhooks/{name}", "webhook_remove", "Remove a webhook", "RemovedWebhook",
        place=(_HOOK,), statuses={"400": 404},
        about="When it is answered, nothing more is posted. 409 for one of gateway.toml.",
    ),
    Call(
        "POST", "/api/webhooks/{name}/test", "webhook_test", "Post a test event", "TestedWebhook",
        place=(_HOOK,), statuses={"400": 404}, about="503 if the receiver did not take it.",
    ),
    Call(
        "POST", "/api/webhooks/{name}/replay", "webhook_replay", "Post events again",
        "ReplayedWebhook", place=(_HOOK,), body="json",
        json=(Field("after", s.POSITION, "Every event behind this number.", True),),
    ),
)  # fmt: skip
