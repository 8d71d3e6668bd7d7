"""python3 receive.py PORT    (Python 3.9 or later, the standard library alone)

Behind a web server that ends TLS. The secret is in DEVGATE_WEBHOOK_SECRET; each event becomes a
file in the folder DEVGATE_INBOX, whose name is its id: what comes again is known by that. In your
shop both are a table with a unique column.
"""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = base64.b64decode(os.environ["DEVGATE_WEBHOOK_SECRET"].removeprefix("whsec_"))
INBOX = pathlib.Path(os.environ.get("DEVGATE_INBOX", "inbox"))
MAX_BODY_BYTES = 1024 * 1024  # bytes of a body


def genuine(headers, body):
    said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mine = "v1," + base64.b64encode(hmac.new(KEY, said, hashlib.sha256).digest()).decode()
    fresh = abs(time.time() - int(headers["webhook-timestamp"] or 0)) < 300
    signatures = (headers["webhook-signature"] or "").split()
    return fresh and any(hmac.compare_digest(mine, one) for one in signatures)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        size = int(self.headers["content-length"] or 0)
        body = self.rfile.read(min(size, MAX_BODY_BYTES))
        if size > MAX_BODY_BYTES or not genuine(self.headers, body):
            self.send_error(401)
            return
        name = hashlib.sha256(self.headers["webhook-id"].encode()).hexdigest()
        try:
            with open(INBOX / name, "xb") as file:  # fails if it is there
                file.write(body)
                os.fsync(file.fileno())
            event = json.loads(body)
            print(
                event["type"], event["data"].get("key"), event["data"].get("outcome"), flush=True
            )
        except FileExistsError:
            pass  # it has come before: the answer is the same
        self.send_response(204)  # only now is it ours
        self.end_headers()


INBOX.mkdir(exist_ok=True)
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
