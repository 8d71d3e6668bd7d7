"""All examples, by the operation of their call."""

from __future__ import annotations

from collections.abc import Mapping

from devgate.http.api.call import Call
from devgate.http.api.samples.accounts import ACCOUNTS
from devgate.http.api.samples.alerts import ALERTS
from devgate.http.api.samples.bulk import BULK
from devgate.http.api.samples.commands import COMMANDS
from devgate.http.api.samples.devices import DEVICES
from devgate.http.api.samples.maintenance import MAINTENANCE
from devgate.http.api.samples.reports import REPORTS
from devgate.http.api.samples.sample import Sample
from devgate.http.api.samples.upkeep import UPKEEP

# By the operation; "" is the raw request.
SAMPLES: Mapping[str, Sample] = {
    **COMMANDS, **DEVICES, **BULK, **MAINTENANCE, **REPORTS, **UPKEEP, **ALERTS, **ACCOUNTS
}  # fmt: skip


def sample_of(call: Call) -> Sample:
    """The example of a call. One without is for a test to find: documents are made all the
    same."""
    return SAMPLES.get(call.operation) or Sample(call.operation, "Gateway", None)


def name_of(call: Call) -> str:
    """What generated clients call it: `startDevice`."""
    return sample_of(call).name
