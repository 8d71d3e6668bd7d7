"""The tables of reports: what each device did on each day, and how far that is counted.

A task of the gateway keeps them up (`gateway.reports.usage`). No statement of a command writes
them.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Integer, String, Table, Text

from devgate.store.metadata import metadata

# One row for each device and day, for starts that were accepted on that day: each start in
# `starts` is also in one of the five columns behind it.
usage_day = Table(
    "usage_day",
    metadata,
    # Days since 1970 of the date in the zone of the site. First in the key, so that a report
    # reads one range.
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("imei", String(15), primary_key=True),
    Column("site", Text, nullable=False, server_default=""),  # where it stood on that day
    Column("starts", Integer, nullable=False, server_default="0"),
    Column("done", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("unknown", Integer, nullable=False, server_default="0"),
    Column("refused", Integer, nullable=False, server_default="0"),
    Column("open", Integer, nullable=False, server_default="0"),
    # What the starts that are done asked for, by the unit of the device.
    Column("seconds", BigInteger, nullable=False, server_default="0"),
    Column("times", BigInteger, nullable=False, server_default="0"),
    # How long it was online, and out of how long, in seconds. NULL: the day is not over, or no
    # event of it is kept.
    Column("online", Integer),
    Column("span", Integer),
    sqlite_with_rowid=False,
)

# What is added up over the machines of a site.
SUMMED = (
    "starts", "done", "failed", "unknown", "refused", "open", "seconds", "times",
    "online", "span",
)  # fmt: skip

# The same by site and day: triggers of `usage_day` keep it, so that a report over a million
# machines goes through no row of theirs.
usage_site = Table(
    "usage_site",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("site", Text, primary_key=True),
    Column("machines", BigInteger, nullable=False, server_default="0"),  # how many rows
    *(Column(name, BigInteger, nullable=False, server_default="0") for name in SUMMED),
    sqlite_with_rowid=False,
)

# One row as long as the days up to this device's (in the order of the key) alone are in
# `usage_site`: those that were there before it. No row: all are.
usage_summing = Table(
    "usage_summing",
    metadata,
    Column("day", Integer, nullable=False),
    Column("imei", String(15), nullable=False),
)

# What is still to be counted: of the days that are over, those of one zone ("zone:NAME", towards
# the present), and days that are counted once more ("site:NAME", "sites" without a zone, "all";
# towards the past).
usage_work = Table(
    "usage_work",
    metadata,
    Column("name", Text, primary_key=True),
    Column("day", Integer, nullable=False),  # a "zone:": the last that is done; else the next
    Column("imei", String(15), nullable=False, server_default=""),  # so far of the day at hand
)

# One row: up to which event changes of commands are counted, when that was, and the zone of
# sites without their own by which days were cut.
usage_state = Table(
    "usage_state",
    metadata,
    Column("position", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
    Column("zone", Text, nullable=False),
)

# The time zones of sites that have one of their own.
site_zone = Table(
    "site_zone",
    metadata,
    Column("site", Text, primary_key=True),
    Column("zone", Text, nullable=False),
)
