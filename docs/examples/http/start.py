"""python3 start.py IMEI SECONDS ORDER    (Python 3.9 or later, the standard library alone)"""

import json
import os
import sys
import urllib.error
import urllib.request


def start(imei, long, order):
    request = urllib.request.Request(
        f"{os.environ['DEVGATE_URL']}/api/devices/{imei}/start",
        data=json.dumps({"long": long}).encode(),
        headers={
            "Authorization": f"Bearer {os.environ['DEVGATE_TOKEN']}",
            "Content-Type": "application/json",
            "Idempotency-Key": order,
        },
    )
    try:
        # The time-out is longer than queue_timeout and ack_timeout together.
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as problem:  # a 409 or 504 has a body, too
        return json.load(problem)
    except (OSError, ValueError):  # no answer, or not all of it
        return {"outcome": "unknown", "detail": "no answer"}


imei, long, order = sys.argv[1:]
reply = start(imei, int(long), order)
outcome = reply["outcome"]
if outcome == "done":
    print("running")
elif outcome == "pending":  # accepted, and not waited for
    print("under way: ask again with the same order")
elif outcome in ("failed", "refused"):  # the machine said no, or nothing was sent
    print("refund:", reply["detail"])
elif outcome == "conflict":  # the order was used for another start, which may run
    print("look at command", reply["earlier"])
else:  # unknown, or no answer: the machine may run
    print("unknown: ask again with the same order")
