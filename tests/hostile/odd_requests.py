"""Requests for every operation that are nearly right: made of the operations' own fields, their
schemas and the documents' samples, with values at and beyond every edge.

What the gateway answers is remembered, so that cursors, ids and names of one list come back in
requests for another one. All is decided by a seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Mapping
from typing import Any

from devgate.gateway.operations.table import OPERATIONS
from devgate.http.api.endpoints import CALLS
from devgate.http.api.samples.every import SAMPLES

Json = dict[str, Any]
Schema = Mapping[str, Any]

# They go on until somebody leaves, or end the process; other tests try them.
ENDLESS = frozenset((
    "watch", "tap", "export", "history_export", "audit_export", "report_export", "upgrade",
))  # fmt: skip
# They examine the whole machine, or wait for processes and other servers.
EXPENSIVE = frozenset(("doctor", "alert_receiver_test", "webhook_test"))
EDGES = (
    "", " ", "\0", "a\0b", "\ud800", "a\udfff", "\u202e", "\u2028", "\x85", "\x1b[31m", "a\nb",
    "\ufeff", "\uffff", "x" * 64, "x" * 65, "x" * 129, "x" * 20_000, "\U0001f600" * 64, "中" * 64,
    "中" * 201, "e\u0301" * 32, "'", '"', "\\", "%", "_", "{}", "{imei}", "<b>", "=1+1", "@A1",
    "../x", "/", "a,b", ",", " a", "null", "NaN", "1e400", "-0", "007", "9" * 15, "9" * 20,
    "\uff11\uff12", "\u00b2", "1_000", "5m", "9" * 400 + "d", "22:00-07:00", "24:00-00:00",
)  # fmt: skip
DAYS = (
    "0000-01-01", "0001-01-01", "1969-12-31", "1970-01-01", "2024-02-29", "2026-02-30",
    "8999-12-31", "9999-12-31", "10000-01-01", "0001-01", "2026-11", "9999-12",
)  # fmt: skip
ZONES = (
    "UTC", "Asia/Shanghai", "Etc/GMT+12", "Pacific/Kiritimati", "Factory", "localtime", "Asia",
    "../UTC", "/etc/passwd", "utc", "zone.tab", "posixrules",
)  # fmt: skip
# Nothing listens there, and `.invalid` is nobody's name.
URLS = (
    "http://127.0.0.1:1/x", "http://127.0.0.1:65536/", "http://[::1]:1/", "http://[::1/",
    "http://a.invalid/", "http://u:p@127.0.0.1:1/", "http://127.0.0.1:1/\ud800", "http://",
    "http://127.0.0.1:1/" + "a" * 3000, "file:///etc/passwd", "://", "http://..invalid/",
)  # fmt: skip
FILES = (
    "imei\n{0}\n", "imei,name\n{0},=1+1\n", 'imei,name\n{0},"a\nb"\n', "imei,name\n{0},\0\n",
    "\ufeffimei\n{0}\n", "imei\r{0}\r", "imei;id\n{0};2", "imei,imei\n{0},{0}\n", 'imei\n"',
    "imei,ack_timeout\n{0},NaN\n", "imei,ack_timeout\n{0},1e-320\n", "imei,id\n{0},99999999999\n",
    "imei,latitude,longitude\n{0},nan,nan\n", "imei,installed_on\n{0},0001-01-01\n",
    'imei,tags\n{0},"a,,b"\n', "imei,name\n{0},\ud800\n",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 1001, 2**31, 2**37, 2**37 + 1, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**300,
    0.0, -0.0, 0.5, 1.0, 1e-320, 1e300, 253402300800, -62135596801, 90.5, 180.5,
)  # fmt: skip
OTHERS: tuple[Any, ...] = (
    None, True, False, [], {}, [[]], [None], {"": {}}, {"site": 5}, ["x"] * 600, [1] * 600,
    ["\ud800"], [""], {"\ud800": "\ud800"}, ["a", "a"],
)  # fmt: skip
# What is no JSON, or says a thing twice: put behind the other fields.
TAILS = (
    ',"limit":NaN', ',"limit":-Infinity', ',"limit":1e999', ',"limit":' + "9" * 5000,
    ',"type":"status"', ',"imei":"1","imei":"2"', ',"a":' + '{"a":' * 70 + "1" + "}" * 70,
)  # fmt: skip
LEARNT = frozenset((
    "next", "prev", "command", "bulk", "session", "name", "upload", "site", "imei", "key",
))  # fmt: skip
FROM = {"after": "next", "before": "prev", "commands": "command", "q": "key", "user": "name"}
SPECIAL = {
    "first": DAYS, "last": DAYS, "month": DAYS, "installed_on": DAYS, "zone": ZONES, "url": URLS,
}  # fmt: skip


def _schemas() -> dict[str, dict[str, Schema]]:
    found: dict[str, dict[str, Schema]] = {}
    for call in CALLS:
        for one in (*call.place, *call.query, *call.head, *call.json):
            found.setdefault(call.operation, {}).setdefault(one.argument, one.schema)
    return found


SCHEMAS = _schemas()


class Odd:
    """Makes requests. `words` are likelier than others to be in them."""

    def __init__(self, seed: int, words: Collection[str] = ()) -> None:
        self._random = random.Random(seed)
        self._words = tuple(words)
        self._learnt: dict[str, list[str]] = {}

    def request(self, operations: Collection[str] | None = None) -> Json:
        """A request for one of the operations; nothing: of all that end."""
        pick = self._random
        type = pick.choice(sorted(operations or OPERATIONS.keys() - ENDLESS - EXPENSIVE))
        fields = OPERATIONS[type].fields
        request = {name: value for name, value in sample(type).items() if name in fields}
        for name in request:
            if name in ("name", "url", "imei", "command", "bulk") and pick.random() < 0.7:
                request[name] = self._known(name)
        for name in pick.sample(fields, min(pick.choice((0, 0, 1, 1, 1, 2, 3)), len(fields))):
            request[name] = self._value(type, name)
        if pick.random() < 0.03:
            request[pick.choice(EDGES)] = 1
        if request and pick.random() < 0.05:
            del request[pick.choice(list(request))]
        if "expires" in request:  # its answer may come in a month
            request["wait"] = False
        return {**request, "type": type}

    def wire(self, request: Json) -> bytes:
        """Its bytes: with half surrogates as escapes or as they are, and what is no JSON."""
        plain = self._random.random() < 0.8
        text = json.dumps(request, ensure_ascii=plain)
        if self._random.random() < 0.05:
            text = f"{text[:-1]}{self._random.choice(TAILS)}}}"
        return b"command" + text.encode("utf-8", "surrogatepass")

    def learn(self, reply: object, depth: int = 0) -> None:
        """Names, ids and cursors in a reply come back in later requests."""
        if isinstance(reply, list) and depth < 4:
            for one in reply[:5]:
                self.learn(one, depth + 1)
        elif isinstance(reply, dict):
            for name, value in reply.items():
                if isinstance(value, str) and name in LEARNT:
                    some = self._learnt.setdefault(name, [])
                    if value not in some:
                        some.append(value)
                    del some[:-40]
                else:
                    self.learn(value, depth + 1)

    def _known(self, name: str) -> Any:
        """What such a field had in an answer; else a value that may be good."""
        pick = self._random
        if name == "url":
            return URLS[0]
        if name == "imei" and pick.random() < 0.5:
            return f"86000000000{pick.randint(0, 30):04}"
        return pick.choice(self._learnt.get(name) or [*self._words, f"n{pick.randint(0, 20)}"])

    def _value(self, type: str, name: str) -> Any:
        pick = self._random
        schema = SCHEMAS.get(type, {}).get(name)
        kind = pick.random()
        if name == "url":
            return pick.choice(URLS)
        if name == "csv" and kind < 0.9:
            return pick.choice(FILES).format(self._known("imei"))
        if schema is not None and kind < 0.35:
            return self._edge(schema)
        if kind < 0.55 and (some := self._learnt.get(FROM.get(name, name))):
            return pick.choice(some)
        if kind < 0.65 and name in SPECIAL:
            return pick.choice(SPECIAL[name])
        return pick.choice(pick.choice(((*EDGES, *self._words), NUMBERS, OTHERS)))

    def _edge(self, schema: Schema) -> Any:
        """A value at an edge of what the schema allows, or just beyond."""
        pick = self._random
        if "enum" in schema:
            return pick.choice(schema["enum"])
        kinds = schema.get("type", "null")
        kind = kinds if isinstance(kinds, str) else pick.choice(kinds)
        if kind == "string":
            least, most = schema.get("minLength", 0), schema.get("maxLength", 64)
            size = pick.choice((max(least - 1, 0), least, min(most, 5), most, most + 1))
            return pick.choice("x0中\U0001f600'=%é,\u0300\u202e\"<\\") * min(size, 20_000)
        if kind in ("integer", "number"):
            least = schema.get("minimum", schema.get("exclusiveMinimum", 0))
            most = schema.get("maximum", 2**63 - 1)
            return pick.choice((least - 1, least, least + 1, most - 1, most, most + 1))
        if kind == "boolean":
            return pick.random() < 0.5
        if kind == "array":
            most = min(schema.get("maxItems", 3), 600)
            size = pick.choice((0, 1, 2, most, most + 1))
            return [self._edge(schema.get("items", {})) for _ in range(size)]
        if kind == "object":
            parts = schema.get("properties", {})
            some = pick.sample(sorted(parts), min(2, len(parts)))
            return {name: self._edge(parts[name]) for name in some}
        return None


def sample(type: str) -> Json:
    """The request of the documents for this operation, as a request of the control channel."""
    found = SAMPLES.get(type)
    call = next((one for one in CALLS if one.operation == type), None)
    if found is None or call is None:
        return {}
    known = {one.name: one.argument for one in (*call.place, *call.query, *call.head, *call.json)}
    given = {**found.place, **found.query, **found.head, **(found.json or {})}
    return {known.get(name, name): value for name, value in given.items()}
