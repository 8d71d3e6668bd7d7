"""What fields and replies look like, in JSON Schema: for the documents and for the checks.

The `title` of a text says in words what its pattern says in signs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from devgate.access.names import MAX_NAME as MAX_CALLED
from devgate.access.names import MAX_PASSWORD, MIN_PASSWORD
from devgate.alerts import rule, schemes
from devgate.alerts.wording import LANGUAGES
from devgate.config.webhook import MAX_URL
from devgate.events.kinds import GROUPS, KINDS
from devgate.gateway.log_level import LEVELS
from devgate.gateway.operations.alerts import MAX_CURSOR as MAX_PLACE
from devgate.gateway.operations.arguments import (
    LIMIT,
    MAX_EXPIRES,
    MAX_KEY,
    MAX_LIMIT,
    MAX_TIME,
    MAX_TIMEOUT,
)
from devgate.gateway.operations.device_list import MAX_SEARCH, MAX_SPAN, ORDERS
from devgate.gateway.operations.find import MAX_WORDS
from devgate.gateway.operations.history import KINDS as KINDS_OF_COMMANDS
from devgate.gateway.operations.history import MAX_SOURCE
from devgate.gateway.operations.history import OUTCOMES as ALL_OUTCOMES
from devgate.gateway.operations.importing import ON_CONFLICT
from devgate.gateway.operations.inbox import (
    MAX_AGE,
    MAX_COMMANDS,
    MAX_NOTE,
    MAX_PERSON,
    STATES,
    VERDICTS,
)
from devgate.gateway.reports import past
from devgate.model import BIDI, MAX_TEXT, shown
from devgate.store.device import MAX_ID, MAX_NAME, UNITS
from devgate.store.device_orders import MAX_CURSOR
from devgate.store.machine_record import MAX_NOTE as MAX_REMARK
from devgate.store.machine_record import MAX_TAG, MAX_TAGS, MAX_WORD
from devgate.store.unknown import REASONS

Schema = Mapping[str, Any]

# Latin, Greek, Cyrillic, Japanese, Chinese and Korean; one line, nothing invisible.
_KEY = (
    "[ -~\u00a1-\u00ac\u00ae-\u0377\u0400-\u052f"
    "\u3041-\u3096\u30a1-\u30fa\u4e00-\u9ffc\uac00-\ud7a3]"
)
LINE = f"[^\u0000-\u001f\u007f-\u009f{BIDI}]"
_TEXT = "[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]"
_ID = "[0-9A-HJKMNP-TV-Z]{26}"
_KINDS = "|".join(re.escape(kind) for kind in (*sorted(GROUPS), *KINDS))


def text(pattern: str, title: str, most: int, least: int = 0) -> Schema:
    """A text of `least` to `most` characters, each of `pattern`."""
    return {
        "type": "string", "title": title, "pattern": f"^{escaped(pattern)}*$",
        "minLength": least, "maxLength": most,
    }  # fmt: skip


def escaped(pattern: str) -> str:
    """The pattern with visible ASCII alone. Control characters as they are make a document that
    YAML readers refuse, and some of the others turn the text around that a person reads."""
    return "".join(sign if " " <= sign <= "~" else f"\\u{ord(sign):04x}" for sign in pattern)


def whole(least: int, most: int) -> Schema:
    """A whole number, both ends included."""
    return {"type": "integer", "minimum": least, "maximum": most}


def seconds(most: float) -> Schema:
    """Seconds above 0, up to `most`."""
    return {"type": "number", "exclusiveMinimum": 0, "maximum": most}


def degrees(most: int) -> Schema:
    """Degrees to both sides of 0."""
    return {"type": "number", "minimum": -most, "maximum": most}


def nullable(schema: Schema) -> Schema:
    """The same, and null stands for its absence."""
    more = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **more}


YES = {"type": "boolean"}
IMEI = {"type": "string", "title": "a string of 15 digits", "pattern": "^[0-9]{15}$"}
ID = {
    "type": "string", "title": "the id of a command, 26 letters and digits",
    "pattern": f"^{_ID}$",
}  # fmt: skip
KEY = text(_KEY, "letters, digits and signs, on one line", MAX_KEY, 1)
# A start's number: seconds, or times for a device that counts them. [command] max_long is less.
LONG = whole(1, 366 * 86400)
TIMEOUT, EXPIRES = seconds(MAX_TIMEOUT), seconds(MAX_EXPIRES)
UNIT = {"type": "string", "enum": list(UNITS)}
NUMBER = whole(0, MAX_ID)
NAME = text(LINE, "a text of one line", MAX_NAME)
SITE = text(LINE, "a text of one line", MAX_NAME, 1)
SEARCH = text(LINE, "a text of one line", MAX_SEARCH, 1)
SPAN = whole(1, int(MAX_SPAN))
PERCENT = whole(0, 99)
SORT = {"type": "string", "enum": list(ORDERS), "default": ORDERS[0]}
CURSOR = text(LINE, "the `next` or `prev` of a page", MAX_CURSOR, 15)
WORDS = text(LINE, "a text of one line", MAX_WORDS, 1)
HOOK = text(LINE, "a text of one line", 64, 1)
JOB = {
    "type": "string", "title": "1 to 64 letters, digits, dots, dashes and underlines",
    "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
}  # fmt: skip
# A person or a token, in the same scripts: one blank between words, and no # in front.
_SIGN = f"[!-.0-~{_KEY[4:]}"
CALLED = {
    "type": "string", "title": f"1 to {MAX_CALLED} letters, digits and signs but /",
    "pattern": escaped(f"^(?!#){_SIGN}( ?{_SIGN})*$"), "minLength": 1, "maxLength": MAX_CALLED,
}  # fmt: skip
SESSION = {"type": "string", "title": "16 digits of hex", "pattern": "^[0-9a-f]{16}$"}
PASSWORD = text(_KEY, "a password", MAX_PASSWORD, MIN_PASSWORD)
HOOK_NAME = {
    "type": "string", "title": "1 to 64 letters, digits, dots, dashes and underlines",
    "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
}  # fmt: skip
HOOK_URL = {
    "type": "string", "title": "a URL of http or https", "pattern": "^https?://[!-~]+$",
    "maxLength": MAX_URL,
}  # fmt: skip
SECRET = {
    "type": "string", "title": "whsec_ and 24 to 64 bytes in base64",
    "pattern": "^whsec_[A-Za-z0-9+/]{32,86}={0,2}$",
}  # fmt: skip
# What is, or may hold, a secret: no message quotes it.
UNSAID = {SECRET["title"], HOOK_URL["title"], PASSWORD["title"]}
PHONE, QR = (text(LINE, "a text of one line", MAX_TEXT), text(_TEXT, "a text", MAX_TEXT))
WORD = text(LINE, "a text of one line", MAX_WORD)
ICCID = {
    "type": "string", "title": "18 to 22 digits", "pattern": "^[0-9]{18,21}[0-9F]?$",
}  # fmt: skip
SIM_PHONE = {
    "type": "string", "title": "a telephone number", "pattern": "^[+]?[0-9][0-9 ()/-]{2,30}$",
}  # fmt: skip
INSTALLED = {
    "type": "string", "title": "a day such as 2026-11-24",
    # Years from 1000 on, and no 31 June: what is left is a 29 February of a common year.
    "pattern": "^[1-9][0-9]{3}-((0[1-9]|1[0-2])-(0[1-9]|[12][0-9])"
    "|(0[13-9]|1[0-2])-30|(0[13578]|1[02])-31)$",
}  # fmt: skip
REMARK = text(_TEXT, "a text", MAX_REMARK)
TAGS = text(LINE, "words with commas between", MAX_TAGS * (MAX_TAG + 2))
TAG = text(f"{LINE[:-1]},]", "a text of one line without a comma", MAX_TAG, 1)
LATITUDE, LONGITUDE = degrees(90), degrees(180)
PAGE = {**whole(1, MAX_LIMIT), "default": LIMIT}
DAYS: Schema = {**whole(1, max(past.DAYS)), "enum": list(past.DAYS), "default": 1}
POSITION = whole(0, 2**63 - 1)
STATE = {"type": "string", "enum": ["waiting", "sent", "ended"]}
REASON = {"type": "string", "enum": list(REASONS)}
IDS = {
    "type": "string", "title": "ids of commands, with commas between",
    "pattern": f"^{_ID}(,{_ID}){{0,{MAX_COMMANDS - 1}}}$",
}  # fmt: skip
INBOX = {"type": "string", "enum": list(STATES), "default": STATES[0]}
LEVEL = {"type": "string", "enum": list(LEVELS)}
VERDICT = {"type": "string", "enum": list(VERDICTS)}
NOTE = text(LINE, "a text of one line", MAX_NOTE, 1)
PERSON = text(LINE, "a text of one line", MAX_PERSON, 1)
AGE = whole(1, int(MAX_AGE))
OUTCOMES = {
    "type": "string", "title": f"some of {', '.join(ALL_OUTCOMES)}, with commas between",
    "pattern": f"^({'|'.join(ALL_OUTCOMES)})(,({'|'.join(ALL_OUTCOMES)}))*$",
}  # fmt: skip
KIND = {"type": "string", "enum": list(KINDS_OF_COMMANDS)}
SOURCE = text(LINE, "a text of one line", MAX_SOURCE, 1)
TIME = whole(0, MAX_TIME)
SHEET = {"type": "string", "enum": ["program", "spreadsheet"], "default": "program"}
EXPORT = {"type": "string", "enum": ["import", "spreadsheet"], "default": "import"}
CONFLICT = {"type": "string", "enum": list(ON_CONFLICT), "default": ON_CONFLICT[0]}
EVENTS = {
    "type": "string", "title": "types of events, or their first words, with commas between",
    "pattern": f"^({_KINDS})(,({_KINDS}))*$",
}  # fmt: skip
# Of alerts. Which rule takes which of them, the operation says.
ALERT = {"type": "string", "enum": list(rule.KINDS)}
MINUTES, DAYS_AHEAD = whole(0, rule.MAX_MINUTES), whole(0, rule.MAX_DAYS)
REPEAT = whole(0, rule.MAX_REPEAT)
QUIET = {
    "type": "string", "title": "hours like 22:00-07:00",
    "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9])?$",
}  # fmt: skip
ZONE = text("[A-Za-z0-9_+/-]", "a time zone like Asia/Shanghai", rule.MAX_ZONE, 1)
LANGUAGE = {"type": "string", "enum": list(LANGUAGES)}
RECEIVERS = {
    "type": "array", "title": f"a list of 1 to {rule.MAX_RECEIVERS} names", "items": HOOK_NAME,
    "minItems": 1, "maxItems": rule.MAX_RECEIVERS,
}  # fmt: skip
RECEIVER_URL = {
    "type": "string", "title": "a URL of Apprise, or of http or https",
    "pattern": "^[a-z0-9]{2,20}://[^ ]+$", "maxLength": schemes.MAX_URL,
}  # fmt: skip
UNSAID.add(RECEIVER_URL["title"])
PLACE = text(LINE, "the `next` of a page", MAX_PLACE, 3)
LETTER = {
    "type": "string", "title": "the id of a message, 26 letters and digits",
    "pattern": f"^{_ID}$",
}  # fmt: skip


def misfit(schema: Schema, value: object) -> str | None:
    """What was expected instead, in words; None if the value fits."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if value is None:
        return None if "null" in kinds else words(schema)
    if _fits(schema, kinds[0], value):
        return None
    expected = f"{words(schema)} expected"
    return expected if schema.get("title") in UNSAID else f"{expected}, not {shown(value)}"


def _fits(schema: Schema, kind: str, value: object) -> bool:
    if "enum" in schema and value not in schema["enum"]:
        return False
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "array":
        return (
            isinstance(value, list)
            and schema["minItems"] <= len(value) <= schema["maxItems"]
            and all(misfit(schema["items"], one) is None for one in value)
        )
    if kind == "object":
        known = schema["properties"]
        return isinstance(value, dict) and all(
            name in known and misfit(known[name], one) is None for name, one in value.items()
        )
    if kind == "string":
        return (
            isinstance(value, str)
            and schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10_000)
            and re.search(schema.get("pattern", ""), value) is not None
            and not value.endswith("\n")  # which $ lets pass
        )
    return (
        type(value) in ((int,) if kind == "integer" else (int, float))
        and isinstance(value, int | float)
        and schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and value > schema.get("exclusiveMinimum", value - 1)
    )


def words(schema: Schema) -> str:
    """What a value of this schema is, as a sentence of ours may say it."""
    kind = schema["type"][0] if isinstance(schema["type"], list) else schema["type"]
    if "enum" in schema:
        return " or ".join(str(one) for one in schema["enum"] if one is not None)
    if kind == "boolean":
        return "true or false"
    if kind == "integer":
        return f"a whole number from {schema['minimum']} to {schema['maximum']}"
    if kind == "number" and "minimum" in schema:
        return f"a number from {schema['minimum']} to {schema['maximum']}"
    if kind == "number":
        return f"a number above {schema['exclusiveMinimum']} and at most {schema['maximum']:.0f}"
    size = ""
    if "maxLength" in schema:
        least = schema.get("minLength", 0)
        size = f", {least} to {schema['maxLength']} characters" if least else (
            f", at most {schema['maxLength']} characters"
        )  # fmt: skip
    return f"{schema['title']}{size}"
