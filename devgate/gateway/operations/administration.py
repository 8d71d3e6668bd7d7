"""The operations of those who administer the gateway: a part of `table.OPERATIONS`."""

from __future__ import annotations

from collections.abc import Mapping

from devgate.gateway.operations import (
    accounts,
    alert_receivers,
    alerts,
    audit,
    configuration,
    nodes,
    passwords,
    second_factor,
    sessions,
    webhooks,
)
from devgate.gateway.operations.operation import LIST, Operation

ADMINISTRATION: Mapping[str, Operation] = {
    "webhooks": Operation("List the receivers of events.", webhooks.webhooks),
    "webhook_add": Operation(
        "Add a receiver of events.",
        webhooks.webhook_add,
        ("name", "url", "events", "secret", "after"),
        whole=True,
    ),
    "webhook_edit": Operation(
        "Change, enable or disable a receiver.",
        webhooks.webhook_edit,
        ("name", *webhooks.CHANGES),
        whole=True,
    ),
    "webhook_remove": Operation(
        "Remove a receiver that was added.", webhooks.webhook_remove, ("name",), whole=True
    ),
    "webhook_test": Operation(
        "Post a test event to a receiver.", webhooks.webhook_test, ("name",)
    ),
    "webhook_replay": Operation(
        "Post events to a receiver again.", webhooks.webhook_replay, ("name", "after")
    ),
    "alerts": Operation("List what fires now.", alerts.alerts, LIST, whole=True),
    "alert_log": Operation(
        "List the messages that were sent.",
        alerts.alert_log,
        ("receiver", *LIST),
        whole=True,
    ),
    "alert_rules": Operation("List the rules of alerts.", alerts.alert_rules, whole=True),
    "alert_rule_add": Operation(
        "Add a rule.",
        alerts.alert_rule_add,
        ("name", "kind", *alerts.RULE_FIELDS),
        whole=True,
    ),
    "alert_rule_edit": Operation(
        "Change a rule: what is given, and nothing else.",
        alerts.alert_rule_edit,
        ("name", *alerts.RULE_FIELDS),
        whole=True,
    ),
    "alert_rule_remove": Operation(
        "Remove a rule.", alerts.alert_rule_remove, ("name",), whole=True
    ),
    "alert_receivers": Operation(
        "List the receivers of alerts.", alert_receivers.alert_receivers, whole=True
    ),
    "alert_receiver_add": Operation(
        "Add a receiver of alerts.",
        alert_receivers.alert_receiver_add,
        ("name", *alert_receivers.CHANGES),
        whole=True,
    ),
    "alert_receiver_edit": Operation(
        "Change a receiver of alerts.",
        alert_receivers.alert_receiver_edit,
        ("name", *alert_receivers.CHANGES),
        whole=True,
    ),
    "alert_receiver_remove": Operation(
        "Remove a receiver of alerts.",
        alert_receivers.alert_receiver_remove,
        ("name",),
        whole=True,
    ),
    "alert_receiver_test": Operation(
        "Send a test to a receiver of alerts.",
        alert_receivers.alert_receiver_test,
        ("name",),
        whole=True,
    ),
    "settings": Operation("Tell the configuration that is in force.", configuration.settings),
    "doctor": Operation(
        "Examine the gateway, its database and its machine for faults.", configuration.doctor
    ),
    "nodes": Operation("List the nodes of the cluster.", nodes.nodes),
    "node_drain": Operation(
        "Drain a node, or take that back.", nodes.node_drain, ("node", "draining")
    ),
    "node_remove": Operation("Forget a node that is dead.", nodes.node_remove, ("node",)),
    "users": Operation("List the users.", accounts.users, LIST),
    "user_add": Operation(
        "Add a user.",
        accounts.user_add,
        ("name", "role", "sites", "password", "provider"),
        whole=True,
    ),
    "user_edit": Operation(
        "Change a user.", accounts.user_edit, ("name", *accounts.USER_FIELDS), whole=True
    ),
    "user_remove": Operation("Remove a user.", accounts.user_remove, ("name",), whole=True),
    "password": Operation(
        "Change one's own password.", passwords.password, ("old", "new"), whole=True
    ),
    "second_factor": Operation(
        "Turn one's own second factor on or off.",
        second_factor.second_factor,
        ("password", "secret", "code", "off"),
        whole=True,
    ),
    "sessions": Operation("List who is logged in.", sessions.sessions, ("user",), whole=True),
    "session_end": Operation(
        "End a session, or all others of a user.",
        sessions.session_end,
        ("session", "user"),
        whole=True,
    ),
    "tokens": Operation("List the tokens.", accounts.tokens, LIST),
    "token_add": Operation(
        "Add a token.", accounts.token_add, ("name", "role", "sites"), whole=True
    ),
    "token_edit": Operation(
        "Change a token.", accounts.token_edit, ("name", *accounts.TOKEN_FIELDS), whole=True
    ),
    "token_remove": Operation("Remove a token.", accounts.token_remove, ("name",), whole=True),
    "audit": Operation("List who changed what.", audit.audit, (*audit.FILTERS, "after", "limit")),
    "audit_export": Operation("Give all changes that fit.", audit.export, audit.FILTERS),
}
