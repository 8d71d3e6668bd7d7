"""What can be asked of the gateway: one table, carried by every way in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import (
    accounts,
    alert_receivers,
    alerts,
    audit,
    bulk,
    configuration,
    device_list,
    devices,
    diagnosis,
    events,
    find,
    fleet,
    history,
    importing,
    inbox,
    maintenance,
    nodes,
    passwords,
    places,
    quarantine,
    reports,
    second_factor,
    sessions,
    status,
    unknown,
    upkeep,
    usage,
    webhooks,
)
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.ordering import FIELDS, order
from devgate.gateway.operations.reply import Reply, Stream
from devgate.store.device import COLUMNS


@dataclass(frozen=True, slots=True)
class Operation:
    """`fields` are all that a request for it may have, besides `type`; another one is an error by
    whichever way in it comes. The HTTP calls and their document take theirs from here."""

    summary: str
    run: Callable[[Gateway, Args, str], Awaitable[Reply | Stream]]
    fields: tuple[str, ...] = ()
    whole: bool = False  # it is told where its caller came from, besides what is recorded


_LIST = ("after", "limit")
_KEPT = COLUMNS[1:]  # of a device

OPERATIONS: Mapping[str, Operation] = {
    "start": Operation("Start a device.", order, FIELDS["start"]),
    "stop": Operation("Stop a device.", order, FIELDS["stop"]),
    "test_start": Operation(
        "Start a device, also one in maintenance: for staff.", order, FIELDS["test_start"]
    ),
    "cancel": Operation("Cancel a command that waits.", upkeep.cancel, ("command",)),
    "refresh": Operation(
        "Put in force what other programs changed of the devices.", upkeep.refresh
    ),
    "confirm_loss": Operation(
        "Accept starts again after the database lost rows.", upkeep.confirm_loss
    ),
    "quarantine": Operation(
        "Tell whether starts are refused after a restore.", quarantine.quarantine
    ),
    "quarantine_allow": Operation(
        "List keys as untried: they may be started in a quarantine.", quarantine.allow, ("keys",)
    ),
    "quarantine_lift": Operation("Lift the quarantine.", quarantine.lift),
    "log_level": Operation(
        "Log from another level on, until a reload.", upkeep.log_level, ("level",)
    ),
    "trim": Operation("Trust the clock, and delete what is old enough.", upkeep.trim),
    "upgrade": Operation(
        "Let another program take over, with every connection.", upkeep.upgrade, ("program",)
    ),
    "take_late": Operation("Take outcomes of a side file.", upkeep.import_late, ("lines",)),
    "status": Operation("Tell how the gateway is, or one device.", status.status, ("imei",)),
    "devices": Operation(
        "List devices, or those that are looked for.",
        device_list.devices,
        device_list.FIELDS,
    ),
    "device": Operation("Show all that is known of one device.", devices.device, ("imei",)),
    "add": Operation("Add a device.", devices.add, ("imei", "number", *_KEPT), whole=True),
    "edit": Operation(
        "Change a device: what is given, and nothing else.",
        devices.edit,
        ("imei", "imeis", "number", *_KEPT, *devices.TAGGING),
        whole=True,
    ),
    "remove": Operation(
        "Forget a device; its history stays.", devices.remove, ("imei", "imeis"), whole=True
    ),
    "unknown_devices": Operation(
        "List devices that were refused when they tried to register.",
        unknown.unknown_devices,
        ("reason", "dismissed", *_LIST),
    ),
    "approve": Operation(
        "Add a device that tried to register.",
        unknown.approve,
        ("imei", "number", *_KEPT),
        whole=True,
    ),
    "dismiss": Operation(
        "Leave such a device out of the list.", unknown.dismiss, ("imei", "dismissed")
    ),
    "import": Operation(
        "Take devices from a CSV text, or say what that would do.",
        importing.import_devices,
        ("csv", "upload", "on_conflict", "dry_run"),
    ),
    "upload": Operation(
        "Hand over a file for an import, part by part.", importing.upload, ("upload", "data")
    ),
    "bulk_start": Operation(
        "Start many devices.", bulk.bulk_start, (*bulk.WHICH, "long", "unit", "timeout", "expires")
    ),
    "bulk_stop": Operation(
        "Stop many devices.", bulk.bulk_stop, (*bulk.WHICH, "timeout", "expires", "cancel")
    ),
    "bulk_edit": Operation("Change many devices.", bulk.bulk_edit, (*bulk.WHICH, *bulk.CHANGES)),
    "bulk_maintenance": Operation(
        "Put many devices in maintenance, or end it.",
        bulk.bulk_maintenance,
        (*bulk.WHICH, "on", "reason", "until"),
    ),
    "maintenance": Operation("List what is in maintenance.", maintenance.maintenance, _LIST),
    "maintenance_on": Operation(
        "Refuse customers' starts of a device or of a whole site.",
        maintenance.maintenance_on,
        (*maintenance.WHICH, "reason", "until"),
    ),
    "maintenance_off": Operation(
        "Let customers start a device or a whole site again.",
        maintenance.maintenance_off,
        maintenance.WHICH,
    ),
    "bulk": Operation("Tell how far a job has come.", bulk.bulk, ("bulk", "failed", *_LIST)),
    "bulks": Operation("List the jobs for many devices.", bulk.bulks),
    "bulk_cancel": Operation("Cancel a job for many devices.", bulk.bulk_cancel, ("bulk",)),
    "export": Operation("Give all devices.", devices.export, ("end",)),
    "command": Operation("Show one command's record.", status.command, ("command",)),
    "history": Operation(
        "List commands, newest first.",
        history.history,
        (*history.FILTERS, "count", "before", *_LIST),
    ),
    "history_export": Operation("Give all commands that fit.", history.export, history.FILTERS),
    "find": Operation("Find an order, a device or a site.", find.find, ("q",)),
    "fleet": Operation("Tell how the fleet was over the last day.", fleet.fleet),
    "trend": Operation(
        "Tell the fleet by the hour, over 1, 7 or 30 days.", fleet.trend, ("days",)
    ),
    "sites": Operation("List the sites and how many devices each has.", fleet.sites),
    "report": Operation(
        "Tell what machines did, by machine, site, day or month.",
        usage.report,
        (*usage.FILTERS, "offset", "limit"),
    ),
    "report_export": Operation("Give all lines of a report.", usage.export, usage.FILTERS),
    "zones": Operation("List the sites with their time zones.", usage.zones),
    "zone": Operation("Give a site a time zone of its own.", usage.zone, ("site", "zone")),
    "places": Operation("List where sites are, for a map.", places.places),
    "day": Operation("Tell one device's day.", reports.day, ("imei", "since")),
    "diagnosis": Operation(
        "Tell how well one device does: reconnects, silences, answers.",
        diagnosis.diagnosis,
        ("imei", "days"),
    ),
    "order": Operation(
        "Tell all that happened to the commands of a key.", reports.order, ("key",)
    ),
    "story": Operation("Tell all that happened to one command.", reports.story, ("command",)),
    "unknown": Operation(
        "List unknown outcomes that a person has to resolve.", inbox.unknown, inbox.LOOKED
    ),
    "resolve": Operation(
        "Say what became of unknown outcomes.", inbox.resolve, inbox.SAID, whole=True
    ),
    "events": Operation("List events.", events.events, ("imei", "events", *_LIST), whole=True),
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
    "alerts": Operation("List what fires now.", alerts.alerts, _LIST, whole=True),
    "alert_log": Operation(
        "List the messages that were sent.",
        alerts.alert_log,
        ("receiver", *_LIST),
        whole=True,
    ),
    "alert_rules": Operation("List the rules of alerts.", alerts.alert_rules, whole=True),
    "alert_rule_add": Operation(
        "Add a rule.",
        alerts.alert_rule_add,
        ("name", "kind", *alerts.RULE),
        whole=True,
    ),
    "alert_rule_edit": Operation(
        "Change a rule: what is given, and nothing else.",
        alerts.alert_rule_edit,
        ("name", *alerts.RULE),
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
    "users": Operation("List the users.", accounts.users, _LIST),
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
        ("secret", "code", "off"),
        whole=True,
    ),
    "sessions": Operation("List who is logged in.", sessions.sessions, ("user",), whole=True),
    "session_end": Operation(
        "End a session, or all others of a user.",
        sessions.session_end,
        ("session", "user"),
        whole=True,
    ),
    "tokens": Operation("List the tokens.", accounts.tokens, _LIST),
    "token_add": Operation(
        "Add a token.", accounts.token_add, ("name", "role", "sites"), whole=True
    ),
    "token_edit": Operation(
        "Change a token.", accounts.token_edit, ("name", *accounts.TOKEN_FIELDS), whole=True
    ),
    "token_remove": Operation("Remove a token.", accounts.token_remove, ("name",), whole=True),
    "audit": Operation("List who changed what.", audit.audit, (*audit.FILTERS, "after", "limit")),
    "audit_export": Operation("Give all changes that fit.", audit.export, audit.FILTERS),
    "watch": Operation("Follow events.", events.watch, ("imei", "events", "after"), whole=True),
    "tap": Operation("Follow one device's frames.", events.tap, ("imei", "unregistered")),
}
