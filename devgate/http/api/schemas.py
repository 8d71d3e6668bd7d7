"""JSON Schemas of fields, for the documents and for the checks.

The `title` of a text says in words what its pattern matches.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from devgate.access.names import MAX_NAME as MAX_CALLED
from devgate.access.names import MAX_PASSWORD, MIN_PASSWORD
from devgate.alerts import rule, schemes
from devgate.alerts.wording import LANGUAGES
from devgate.config.webhook import MAX_URL
from devgate.events.kinds import AUDIT, GROUPS, KINDS
from devgate.gateway.log_level import LEVELS
from devgate.gateway.operations.alerts import MAX_CURSOR as MAX_PLACE
from devgate.gateway.operations.arguments import (
    DEFAULT_LIMIT,
    MAX_EXPIRES_SECONDS,
    MAX_KEY_LENGTH,
    MAX_LIMIT,
    MAX_SOURCE,
    MAX_TIMEOUT_SECONDS,
)
from devgate.gateway.operations.device_list import MAX_SEARCH, MAX_SPAN, ORDERS
from devgate.gateway.operations.find import MAX_WORDS
from devgate.gateway.operations.history import KINDS as KINDS_OF_COMMANDS
from devgate.gateway.operations.history import OUTCOMES as ALL_OUTCOMES
from devgate.gateway.operations.importing import ON_CONFLICT
from devgate.gateway.operations.inbox import (
    MAX_AGE_SECONDS,
    MAX_COMMANDS,
    MAX_NOTE_LENGTH,
    MAX_PERSON_LENGTH,
    STATES,
    VERDICTS,
)
from devgate.gateway.reports import past
from devgate.model import BIDI, MAX_TEXT, MAX_TIME
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
_ENDS = "\u2028\u2029"  # of lines and paragraphs
LINE = f"[^\u0000-\u001f\u007f-\u009f{_ENDS}{BIDI}]"
_TEXT = f"[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f{_ENDS}]"
_ID = "[0-9A-HJKMNP-TV-Z]{26}"
_KINDS = "|".join(re.escape(kind) for kind in (*sorted(GROUPS), *KINDS))
_AUDITED = "|".join(
    re.escape(kind) for kind in (*sorted({kind.partition(".")[0] for kind in AUDIT}), *AUDIT)
)


def text(pattern: str, title: str, max_length: int, min_length: int = 0) -> Schema:
    """A text of `min_length` to `max_length` characters, each of `pattern`."""
    return {
        "type": "string", "title": title, "pattern": f"^{escaped(pattern)}*$",
        "minLength": min_length, "maxLength": max_length,
    }  # fmt: skip


def matching(title: str, pattern: str, **more: object) -> Schema:
    """A text that matches the whole pattern."""
    return {"type": "string", "title": title, "pattern": f"^{escaped(pattern)}$", **more}


def choice(words: Iterable[str], **more: object) -> Schema:
    """One of these words."""
    return {"type": "string", "enum": list(words), **more}


def many(item: Schema, called: str, max_items: int) -> Schema:
    """A list of 1 to `max_items` of these; `called` is their name in a sentence."""
    return {
        "type": "array", "title": f"a list of 1 to {max_items} {called}", "items": item,
        "minItems": 1, "maxItems": max_items,
    }  # fmt: skip


def escaped(pattern: str) -> str:
    """The pattern in visible ASCII only. YAML readers refuse a document with control characters,
    and some other characters reverse the text that a person sees."""
    return "".join(sign if " " <= sign <= "~" else f"\\u{ord(sign):04x}" for sign in pattern)


def whole(minimum: int, maximum: int) -> Schema:
    """A whole number, both ends included."""
    return {"type": "integer", "minimum": minimum, "maximum": maximum}


def seconds(maximum: float) -> Schema:
    """Seconds above 0, up to `maximum`."""
    return {"type": "number", "exclusiveMinimum": 0, "maximum": maximum}


def degrees(maximum: int) -> Schema:
    """Degrees on both sides of 0, up to `maximum`."""
    return {"type": "number", "minimum": -maximum, "maximum": maximum}


def nullable(schema: Schema) -> Schema:
    """The same schema, which also allows null: the field is not given then."""
    more = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **more}


YES = {"type": "boolean"}
IMEI = matching("a string of 15 digits", "[0-9]{15}")
ID = matching("the id of a command, 26 letters and digits", _ID)
KEY = text(_KEY, "letters, digits and signs, on one line", MAX_KEY_LENGTH, 1)
# A start's number: seconds, or times for a device that counts them. [command] max_long may be
# lower than this.
LONG = whole(1, 366 * 86400)
TIMEOUT, EXPIRES = seconds(MAX_TIMEOUT_SECONDS), seconds(MAX_EXPIRES_SECONDS)
UNIT = choice(UNITS)
NUMBER = whole(0, MAX_ID)
NAME = text(LINE, "a text of one line", MAX_NAME)
SITE = text(LINE, "a text of one line", MAX_NAME, 1)
SEARCH = text(LINE, "a text of one line", MAX_SEARCH, 1)
SPAN = whole(1, int(MAX_SPAN))
PERCENT = whole(0, 99)
SORT = choice(ORDERS, default=ORDERS[0])
CURSOR = matching(
    "the `next` or `prev` of a page", f"[0-9]{{15}}(:{LINE}*)?", maxLength=MAX_CURSOR
)
WORDS = text(LINE, "a text of one line", MAX_WORDS, 1)
KNOWN_NAME = text(LINE, "a text of one line", 64, 1)
_PLAIN = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
JOB = PLAIN_NAME = matching("1 to 64 letters, digits, dots, dashes and underlines", _PLAIN)
# A person or a token, in the scripts of _KEY: one blank between words, and no # in front.
_SIGN = f"[!-.0-~{_KEY[4:]}"
ACCOUNT_NAME = matching(
    f"1 to {MAX_CALLED} letters, digits and signs but /", f"(?!#){_SIGN}( ?{_SIGN})*",
    minLength=1, maxLength=MAX_CALLED,
)  # fmt: skip
SESSION = matching("16 digits of hex", "[0-9a-f]{16}")
PASSWORD = text(_KEY, "a password", MAX_PASSWORD, MIN_PASSWORD)
_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_POSTED = rf"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:{_PORT})?([/?][!\x22$-~]*)?"
WEBHOOK_URL = matching(
    "a URL of http or https, without a user and a #fragment", _POSTED, maxLength=MAX_URL
)
_THREE = "([A-Za-z0-9+/]{4})"  # three bytes in base64
SECRET = matching(
    "whsec_ and 24 to 64 bytes in base64",
    f"whsec_({_THREE}{{8,20}}([A-Za-z0-9+/]{{3}}=)?|{_THREE}{{8,21}}([A-Za-z0-9+/]{{2}}==)?)",
)
# Values that are secret or contain a secret: no message quotes them.
UNSAID = {SECRET["title"], WEBHOOK_URL["title"], PASSWORD["title"]}
PHONE, QR = (text(LINE, "a text of one line", MAX_TEXT), text(_TEXT, "a text", MAX_TEXT))
WORD = text(LINE, "a text of one line", MAX_WORD)
MODEL = text(LINE, "a text of one line", MAX_WORD, 1)
ICCID = matching("18 to 22 digits", "[0-9]{18,21}[0-9F]?")
SIM_PHONE = matching("a telephone number", "[+]?[0-9][0-9 ()/-]{2,30}")
# The pattern refuses days such as 31 June. Only a 29 February of a common year is left to
# `format`.
_DAY = "((0[1-9]|1[0-2])-(0[1-9]|[12][0-9])|(0[13-9]|1[0-2])-30|(0[13578]|1[02])-31)"
INSTALLED = {
    "type": "string", "title": "a day such as 2026-11-24", "format": "date",
    "pattern": f"^[1-9][0-9]{{3}}-{_DAY}$",
}  # fmt: skip
# Of reports: years from 1980 to 8999.
_YEAR = "(19[89][0-9]|[2-8][0-9]{3})"
REPORTED = {**INSTALLED, "pattern": f"^{_YEAR}-{_DAY}$"}
MONTH = matching("a month such as 2026-11", f"{_YEAR}-(0[1-9]|1[0-2])")
REMARK = text(f"{_TEXT[:-1]}{BIDI}]", "a text", MAX_REMARK)
_TAG = f"{LINE[:-1]},]{{0,{MAX_TAG}}}"
TAGS = matching(
    f"up to {MAX_TAGS} words of up to {MAX_TAG} characters, with commas between",
    f"{_TAG}(,{_TAG}){{0,{MAX_TAGS - 1}}}",
)
TAG = text(f"{LINE[:-1]},]", "a text of one line without a comma", MAX_TAG, 1)
LATITUDE, LONGITUDE = degrees(90), degrees(180)
PAGE = {**whole(1, MAX_LIMIT), "default": DEFAULT_LIMIT}
DAYS: Schema = {**whole(1, max(past.DAYS)), "enum": list(past.DAYS), "default": 1}
POSITION = whole(0, 2**63 - 1)
STATE = choice(("waiting", "sent", "ended"))
REASON = choice(REASONS)
IDS = matching("ids of commands, with commas between", f"{_ID}(,{_ID}){{0,{MAX_COMMANDS - 1}}}")
INBOX = choice(STATES, default=STATES[0])
LEVEL = choice(LEVELS)
VERDICT = choice(VERDICTS)
NOTE = text(LINE, "a text of one line", MAX_NOTE_LENGTH, 1)
PERSON = text(LINE, "a text of one line", MAX_PERSON_LENGTH, 1)
AGE = whole(1, int(MAX_AGE_SECONDS))
OUTCOMES = matching(
    f"some of {', '.join(ALL_OUTCOMES)}, with commas between",
    f"({'|'.join(ALL_OUTCOMES)})(,({'|'.join(ALL_OUTCOMES)}))*",
)
KIND = choice(KINDS_OF_COMMANDS)
SOURCE = text(LINE, "a text of one line", MAX_SOURCE, 1)
TIME = whole(0, MAX_TIME)
SHEET = choice(("program", "spreadsheet"), default="program")
EXPORT = choice(("import", "spreadsheet"), default="import")
CONFLICT = choice(ON_CONFLICT, default=ON_CONFLICT[0])
EVENTS, CHANGES = (
    matching(
        "types of events, or their first words, with commas between",
        f"({kinds})(,({kinds}))*",
    )
    for kinds in (_KINDS, _AUDITED)
)
# Of alerts. Which of them a rule may have depends on its kind: the operation checks that.
ALERT = choice(rule.KINDS)
MINUTES, DAYS_AHEAD = whole(0, rule.MAX_MINUTES), whole(0, rule.MAX_DAYS)
REPEAT = {**whole(0, rule.MAX_REPEAT), "not": {"enum": [1, 2, 3, 4]}}
_HOUR = "([01][0-9]|2[0-3]):[0-5][0-9]"
QUIET = matching("hours like 22:00-07:00", f"({_HOUR}-{_HOUR})?")
ZONE = {"type": "string", "title": "a time zone like Asia/Shanghai", "format": "time-zone"}
LANGUAGE = choice(LANGUAGES)
RECEIVERS = many(PLAIN_NAME, "names", rule.MAX_RECEIVERS)
_APPRISE = f"({'|'.join(sorted(schemes.SCHEMES))})://[!-~{_KEY[4:]}+"
RECEIVER_URL = matching(
    "a URL of Apprise, or of http or https", f"({_POSTED}|{_APPRISE})",
    maxLength=schemes.MAX_URL,
)  # fmt: skip
UNSAID.add(RECEIVER_URL["title"])
PLACE = {
    "type": "string", "title": "the `next` of a page", "maxLength": MAX_PLACE,
    "pattern": escaped(f"^[0-9]{{1,12}}[.][0-9]{{1,9}}:{_PLAIN}:{LINE}*$"),
}  # fmt: skip
MESSAGE_ID = matching("the id of a message, 26 letters and digits", _ID)
