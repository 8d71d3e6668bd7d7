"""Examples: the list of devices, and those that tried to register."""

from __future__ import annotations

from collections.abc import Mapping

from devgate.http.api.samples.commands import RECORD
from devgate.http.api.samples.sample import IMEI, NEXT, Sample

TAG = "Devices"
HERE = {"imei": IMEI}
DEVICE: dict[str, object] = {
    "imei": IMEI, "id": 16, "name": "Bay 4", "site": "north", "enabled": True, "online": True,
    "since": "2026-11-24T06:30:11.208Z", "address": "203.0.113.9:40112",
    "heard": "2026-11-24T12:00:00.512Z", "running_until": "2026-11-24T12:15:00.512Z",
    "unit": "seconds", "maintenance": None,
}  # fmt: skip
MACHINE: dict[str, object] = {
    "iccid": "89860012345678901234", "sim_phone": "1064 0000 1234", "model": "MC-4",
    "firmware": "2.1", "serial": "MC4-00417", "installed_on": "2026-03-01",
    "note": "left of the lift", "tags": "indoor,leather", "latitude": 31.2304,
    "longitude": 121.4737,
}  # fmt: skip
STORED: dict[str, object] = {
    "imei": IMEI, "id": 16, "name": "Bay 4", "site": "north", "phone": None, "qr": None,
    "unit": "seconds", "ack_timeout": None, "enabled": True, **MACHINE,
}  # fmt: skip
UNKNOWN: dict[str, object] = {
    "imei": NEXT, "reason": "unknown", "address": "203.0.113.9:40377",
    "first_at": "2026-11-24T07:02:44.017Z", "last_at": "2026-11-24T11:58:20.650Z", "count": 312,
    "connected_as": None, "dismissed": False, "name": None, "site": None,
}  # fmt: skip
CSV = f"imei,name,site\n{IMEI},Bay 4,north\n{NEXT},Bay 5,north\n"
EXPORTED = (
    "imei,id,name,site,phone,qr,unit,ack_timeout,enabled,iccid,sim_phone,model,firmware,serial,"
    "installed_on,note,tags,latitude,longitude\r\n"
    f"{IMEI},16,Bay 4,north,,,seconds,,true,89860012345678901234,,MC-4,2.1,MC4-00417,"
    '2026-03-01,,"indoor,leather",31.2304,121.4737\r\n'
)
FRAME = (
    'data: {"at":"2026-11-24T12:00:00.013Z","imei":"123456787654321",'
    '"address":"203.0.113.9:40112","direction":"out","bytes":"026000123456787654321QD900",'
    '"decoded":"QD 000 123456787654321 900","why":null}\n\n'
)

DEVICES: Mapping[str, Sample] = {
    "devices": Sample(
        "listDevices", TAG, {"status": "200", "items": [DEVICE], "next": None, "prev": None},
        query={"site": "north", "online": True, "sort": "-since", "limit": 50},
    ),
    "find": Sample(
        "findAnything", TAG,
        {"status": "200", "q": "16", "exact": 1, "devices": [DEVICE], "commands": [],
         "site": None},
        query={"q": "16"},
    ),
    "device": Sample(
        "getDevice", TAG,
        {"status": "200", **DEVICE, "phone": None, "qr": None, "ack_timeout": None, **MACHINE,
         "slow": None, "last": RECORD},
        place=HERE,
    ),
    "add": Sample(
        "addDevice", TAG, {"status": "200", "message": f"added {IMEI}", **STORED},
        json={"imei": IMEI, "name": "Bay 4", "site": "north"},
    ),
    "edit": Sample(
        "changeDevice", TAG,
        {"status": "200", "message": f"changed {IMEI}", **STORED, "site": "south"},
        place=HERE, json={"site": "south"},
    ),
    "remove": Sample(
        "removeDevice", TAG, {"status": "200", "message": f"removed {IMEI}", "imei": IMEI},
        place=HERE,
    ),
    "import": Sample(
        "importDevices", TAG,
        {"status": "200", "message": "2 added, 0 updated, 0 there already", "added": 2,
         "updated": 0, "skipped": 0},
        query={"on_conflict": "update"}, text=CSV,
    ),
    "export": Sample("exportDevices", TAG, EXPORTED, query={"for": "import"}),
    "tap": Sample("followFrames", TAG, FRAME, place=HERE),
    "unknown_devices": Sample(
        "listUnknownDevices", TAG,
        {"status": "200", "items": [UNKNOWN], "next": None, "count": 1, "registration": "approve"},
        query={"reason": "unknown"},
    ),
    "approve": Sample(
        "approveDevice", TAG,
        {"status": "200", "message": f"approved {NEXT}; it is added, and may register", **STORED,
         "imei": NEXT, "id": 17, "name": "Bay 5"},
        place={"imei": NEXT}, json={"name": "Bay 5", "site": "north"},
    ),
    "dismiss": Sample(
        "dismissDevice", TAG,
        {"status": "200", "message": f"{NEXT} is left out of the list", "imei": NEXT,
         "dismissed": True},
        place={"imei": NEXT}, json={"dismissed": True},
    ),
}  # fmt: skip
