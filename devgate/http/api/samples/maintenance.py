"""Examples: maintenance of devices and of whole sites."""

from __future__ import annotations

from collections.abc import Mapping

from devgate.http.api.samples.sample import IMEI, Sample

TAG = "Devices"
SAID: dict[str, object] = {
    "reason": "new cushions", "since": "2026-11-24T12:00:00.000Z",
    "until": "2026-11-24T15:00:00.000Z",
}  # fmt: skip
UNTIL = 1795532400

MAINTENANCE: Mapping[str, Sample] = {
    "maintenance": Sample(
        "listMaintenance", TAG,
        {
            "status": "200", "next": None,
            "items": [
                {"imei": None, "name": None, "site": "south", **SAID, "source": "web:anna"},
                {"imei": IMEI, "name": "Bay 4", "site": "north", **SAID, "until": None,
                 "source": "socket"},
            ],
        },
        query={"limit": 100},
    ),
    "maintenance_on": Sample(
        "beginMaintenance", TAG,
        {"status": "200", "message": f"{IMEI} is in maintenance", "imeis": [IMEI], "site": None,
         **SAID},
        json={"imei": IMEI, "reason": "new cushions", "until": UNTIL},
    ),
    "maintenance_off": Sample(
        "endMaintenance", TAG,
        {"status": "200", "message": f"{IMEI} is no longer in maintenance", "imeis": [IMEI],
         "site": None},
        json={"imei": IMEI},
    ),
}  # fmt: skip
