"""Examples: maintenance of devices and of whole sites, and diagnosis."""

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
    "places": Sample(
        "listPlaces", "Reports",
        {
            "status": "200", "unplaced": 2, "next": None,
            "items": [{"site": "north", "latitude": 31.2304, "longitude": 121.4737, "placed": 20,
                       "devices": 21, "offline": 1}],
        },
    ),
    "diagnosis": Sample(
        "getDiagnosis", TAG,
        {
            "status": "200", "imei": IMEI, "name": "Bay 4", "site": "north",
            "serial": "MC4-00417", "model": "MC-4", "firmware": "2.1",
            "iccid": "89860012345678901234", "days": 1, "since": "2026-11-23T12:00:00.000Z",
            "until": "2026-11-24T12:00:00.000Z", "complete": True, "reconnects": 3,
            "silences": 2, "away_seconds": 190,
            "by_day": [{"since": "2026-11-23T12:00:00.000Z", "reconnects": 3, "silences": 2,
                        "away_seconds": 190}],
            "reasons": {"silent for too long": 2, "closed by the device": 1},
            "odd": {"device.slow": 1},
            "longest": [{"since": "2026-11-24T03:10:00.000Z", "until": "2026-11-24T03:12:00.000Z",
                         "reason": "silent for too long", "seconds": 120}],
            "answers": {"commands": 41, "unanswered": 1, "failed": 0, "median": 0.61,
                        "nine_in_ten": 1.4, "slowest": 6.2},
            "others": {"devices": 60, "commands": 1180, "unanswered": 4, "failed": 2,
                       "median": 0.42, "nine_in_ten": 0.9, "slowest": 8.1},
        },
        place={"imei": IMEI}, query={"days": 1},
    ),
    "maintenance_off": Sample(
        "endMaintenance", TAG,
        {"status": "200", "message": f"{IMEI} is no longer in maintenance", "imeis": [IMEI],
         "site": None},
        json={"imei": IMEI},
    ),
}  # fmt: skip
