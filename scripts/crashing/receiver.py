"""A receiver of webhooks that fails at random, and notes every event that it has taken."""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import random
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE = 300.0  # seconds that a timestamp may be old, as Standard Webhooks has it
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()

# What becomes of a request that fails, and how often among those that do.
FATES = {"refused": 12, "busy": 2, "dropped": 3, "taken and dropped": 3, "redirected": 1}


def genuine(headers: dict[str, str], body: bytes, tolerance: float = TOLERANCE) -> bool:
    """True if body and headers are signed with SECRET and new."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    signed = f"{id}.{stamp}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    given = headers.get("webhook-signature", "").split(" ")
    new = stamp.isdigit() and abs(time.time() - int(stamp)) <= tolerance
    return new and any(hmac.compare_digest(wanted, one) for one in given)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    record: int  # descriptor of the file of events that were taken
    dice: random.Random
    failing: float  # of a hundred requests
    tolerance: float

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        body = self.rfile.read(length)
        if len(body) < length:  # the gateway was killed in the middle of it
            self.close_connection = True
            return None
        headers = {name.lower(): value for name, value in self.headers.items()}
        if not genuine(headers, body, self.tolerance):
            os.write(self.record, b"forged - forged\n")
            return self._answer(401)
        fate = self._fate()
        if fate in ("taken", "taken and dropped"):
            event = json.loads(body)["data"]
            # On record before it is answered: who answers 2xx has it, even if killed now.
            line = f"{event['event']} {event['imei'] or '-'} {fate.replace(' ', '-')}\n"
            os.write(self.record, line.encode())
        if fate.endswith("dropped"):
            self.close_connection = True
            return None
        return self._answer({"refused": 500, "busy": 503, "redirected": 302}.get(fate, 204))

    def _fate(self) -> str:
        if self.dice.uniform(0, 100) >= self.failing:
            return "taken"
        return self.dice.choices(list(FATES), list(FATES.values()))[0]

    def _answer(self, status: int) -> None:
        self.send_response(status)
        if status == 302:
            self.send_header("location", "/elsewhere")
        if status != 204:
            self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """The record says all that is to be known."""


class Server(ThreadingHTTPServer):
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """The gateway is killed from time to time: its connections break."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--record", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--failing", type=float, required=True)
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    args = parser.parse_args()
    Handler.tolerance = args.tolerance
    Handler.failing = args.failing
    Handler.record = os.open(args.record, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    Handler.dice = random.Random(args.seed)
    Server(("127.0.0.1", args.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
