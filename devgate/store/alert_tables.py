"""The tables of alerts: rules, receivers, what fires, and what was sent."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, Index, Integer, String, Table, Text, true

from devgate.store.metadata import metadata

# Rules: who is notified, and of what. `alerts.rule` says what the columns mean.
alert_rule = Table(
    "alert_rule",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("site", Text, nullable=False, server_default=""),  # "": all
    Column("minutes", Integer, nullable=False, server_default="0"),
    Column("days", Integer, nullable=False, server_default="0"),  # of certificates
    Column("receivers", Text, nullable=False),  # their names, with commas
    Column("quiet", String(11), nullable=False, server_default=""),  # "22:00-07:00"; "": never
    Column("zone", String(64), nullable=False, server_default="UTC"),  # nothing: its site's
    Column("repeat", Integer, nullable=False, server_default="0"),  # minutes; 0: never
    Column("all_clear", Boolean, nullable=False, server_default=true()),
    Column("enabled", Boolean, nullable=False, server_default=true()),
    Column("added_at", Double, nullable=False),  # earlier conditions are not reported
    Column("tag", Text, nullable=False, server_default=""),  # nothing: any
    # If its owner may see only some sites: a JSON list of these, and the owner.
    Column("sites", Text),
    Column("owner", Text, nullable=False, server_default=""),
)

# Receivers: who is notified.
alert_receiver = Table(
    "alert_receiver",
    metadata,
    Column("name", String(64), primary_key=True),
    # Encrypted with the key file: a URL of Apprise and the key of a webhook are secrets.
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False, server_default=""),
    Column("shown", Text, nullable=False),  # the URL without its secrets
    Column("language", String(2), nullable=False, server_default="en"),
    Column("enabled", Boolean, nullable=False, server_default=true()),
    Column("added_at", Double, nullable=False),
    # As for a rule.
    Column("sites", Text),
    Column("owner", Text, nullable=False, server_default=""),
)

# What each rule has found: at most `alerts.engine.MAX_SUBJECTS` rows for each.
alert_firing = Table(
    "alert_firing",
    metadata,
    Column("rule", String(64), primary_key=True),
    Column("subject", String(300), primary_key=True),  # an IMEI, a site, a command, a webhook
    Column("label", Text, nullable=False),  # what people call it
    Column("site", Text, nullable=False, server_default=""),
    Column("since", Double),  # since when the condition is true
    Column("fired_at", Double, nullable=False),
    Column("told_at", Double),  # when its receivers got it, or could not be reached
    Column("cleared_at", Double),  # when it ended, until they have been told that
)
Index("alert_newest", alert_firing.c.fired_at, alert_firing.c.rule, alert_firing.c.subject)

# What was sent, or was to be sent: the newest `alerts.MAX_MESSAGES` messages.
alert_log = Table(
    "alert_log",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("at", Double, nullable=False),  # of the latest try
    Column("receiver", String(64), nullable=False),
    Column("rule", String(64), nullable=False),  # "": a test
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("state", String(7), nullable=False),  # sent, failed, waiting (it is tried again)
    Column("tries", Integer, nullable=False),
    Column("error", Text),
)
