"""python3 start.py IMEI LONG ORDER    (Python 3.9 or later, the standard library alone)"""

import json
import os
import socket
import sys


def ask(**request):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)  # longer than queue_timeout and ack_timeout together
        try:
            sock.connect(os.environ.get("DEVGATE_SOCKET", "/run/devgate/devgate.sock"))
        except OSError as err:  # nothing was sent
            return {"outcome": "refused", "message": f"no gateway: {err}"}
        try:
            sock.sendall(b"command" + json.dumps(request).encode())
            return json.loads(sock.makefile("rb").readline())
        except (OSError, ValueError):  # no reply, or not all of it
            return {"outcome": "unknown", "message": "no reply"}


imei, long, order = sys.argv[1:]
reply = ask(type="start", imei=imei, long=long, key=order)
outcome = reply["outcome"]
if outcome == "done":
    print("running")
elif outcome == "pending":  # accepted, and not waited for
    print("under way: ask again with the same order")
elif outcome in ("failed", "refused"):  # the machine said no, or nothing was sent
    print("refund:", reply["message"])
elif outcome == "conflict":  # the order was used for another start, which may run
    print("look at command", reply["earlier"])
else:  # unknown, or no reply: the machine may run
    print("unknown: ask again with the same order")
