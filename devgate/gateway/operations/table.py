"""All operations of the gateway: one table for every way in."""

from __future__ import annotations

from collections.abc import Mapping

from devgate.gateway.operations import (
    bulk,
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
    places,
    quarantine,
    reports,
    status,
    unknown,
    upkeep,
    usage,
    zones,
)
from devgate.gateway.operations.administration import ADMINISTRATION
from devgate.gateway.operations.operation import LIST, Operation
from devgate.gateway.operations.ordering import FIELDS, order
from devgate.store.device import COLUMNS

_DEVICE_FIELDS = COLUMNS[1:]  # of a device

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
    "add": Operation(
        "Add a device.", devices.add, ("imei", "number", *_DEVICE_FIELDS), whole=True
    ),
    "edit": Operation(
        "Change a device: what is given, and nothing else.",
        devices.edit,
        ("imei", "imeis", "number", *_DEVICE_FIELDS, *devices.TAGGING),
        whole=True,
    ),
    "remove": Operation(
        "Forget a device; its history stays.", devices.remove, ("imei", "imeis"), whole=True
    ),
    "unknown_devices": Operation(
        "List devices that were refused when they tried to register.",
        unknown.unknown_devices,
        ("reason", "dismissed", *LIST),
    ),
    "approve": Operation(
        "Add a device that tried to register.",
        unknown.approve,
        ("imei", "number", *_DEVICE_FIELDS),
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
        "Start many devices.",
        bulk.bulk_start,
        (*bulk.JOB_FIELDS, "long", "unit", "timeout", "expires"),
    ),
    "bulk_stop": Operation(
        "Stop many devices.", bulk.bulk_stop, (*bulk.JOB_FIELDS, "timeout", "expires", "cancel")
    ),
    "bulk_edit": Operation(
        "Change many devices.", bulk.bulk_edit, (*bulk.JOB_FIELDS, *bulk.CHANGES)
    ),
    "bulk_maintenance": Operation(
        "Put many devices in maintenance, or end it.",
        bulk.bulk_maintenance,
        (*bulk.JOB_FIELDS, "on", "reason", "until"),
    ),
    "maintenance": Operation("List what is in maintenance.", maintenance.maintenance, LIST),
    "maintenance_on": Operation(
        "Refuse customers' starts of a device or of a whole site.",
        maintenance.maintenance_on,
        (*maintenance.TARGET_FIELDS, "reason", "until"),
    ),
    "maintenance_off": Operation(
        "Let customers start a device or a whole site again.",
        maintenance.maintenance_off,
        maintenance.TARGET_FIELDS,
    ),
    "bulk": Operation("Tell how far a job has come.", bulk.bulk, ("bulk", "failed", *LIST)),
    "bulks": Operation("List the jobs for many devices.", bulk.bulks),
    "bulk_cancel": Operation("Cancel a job for many devices.", bulk.bulk_cancel, ("bulk",)),
    "export": Operation("Give all devices.", devices.export, ("end",)),
    "command": Operation("Show one command's record.", status.command, ("command",)),
    "history": Operation(
        "List commands, newest first.",
        history.history,
        (*history.FILTERS, "count", "before", *LIST),
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
    "zones": Operation("List the sites with their time zones.", zones.zones),
    "zone": Operation("Give a site a time zone of its own.", zones.zone, ("site", "zone")),
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
        "List unknown outcomes that a person has to resolve.", inbox.unknown, inbox.LIST_FIELDS
    ),
    "resolve": Operation(
        "Say what became of unknown outcomes.", inbox.resolve, inbox.RESOLVE_FIELDS, whole=True
    ),
    "events": Operation("List events.", events.events, ("imei", "events", *LIST), whole=True),
    **ADMINISTRATION,
    "watch": Operation("Follow events.", events.watch, ("imei", "events", "after"), whole=True),
    "tap": Operation("Follow one device's frames.", events.tap, ("imei", "unregistered")),
}
