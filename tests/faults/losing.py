"""A gateway whose database loses what it had, as its callers see it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

from tests.e2e.harness import Gateway, Json

IMEI, OTHER, THIRD = "860000000000001", "860000000000002", "860000000000003"


def start(**extra: object) -> Json:
    return {"imei": IMEI, "type": "start", "long": 500, **extra}


def state(served: Gateway) -> str:
    return str(served.ask({"type": "status"})["store"])


def ready(served: Gateway) -> tuple[int, str]:
    [address] = served.ask({"type": "status"})["listen"]["http"]
    try:
        with urllib.request.urlopen(f"http://{address}/readyz") as reply:
            return reply.status, json.load(reply)["checks"]["store"]
    except urllib.error.HTTPError as err:
        with err:
            return err.code, json.load(err)["checks"]["store"]


HTTP = {"http": {"listen": ["127.0.0.1:0"]}}
