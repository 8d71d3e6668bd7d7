"""The fields of a request, checked at the edge. Each error names its field."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TypeGuard

from devgate.config.kinds import span
from devgate.errors import CallerError
from devgate.events.kinds import must_be_known, types_of
from devgate.model import IMEI, MAX_TIME, Imei, alternatives, duration, imei, shown, unknown_field

Args = Mapping[str, object]

MAX_KEY_LENGTH = 128  # of a caller's own name for a command, in characters
MAX_TIMEOUT_SECONDS = 300.0  # to wait for a device's answer
MAX_EXPIRES_SECONDS = 30 * 86400.0  # that a start may be deferred: a month
MAX_SOURCE = 80  # characters: a name of 64 and the way it came
MAX_LIMIT, DEFAULT_LIMIT = 1000, 100  # items of one page
MAX_AT_ONCE = 500  # devices that one request changes, all or none: about 30 ms
_COMMAND_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}", re.ASCII)  # a ULID
# Where `operations.sites` puts the sites of a caller who is limited to some: lists are narrowed to
# them. A request cannot have a field of this name.
OWN_SITES = "sites of the caller"


def expected(name: str, what: str, given: object) -> CallerError:
    """The error for a field with another value than that."""
    return CallerError("400", f"{name}: {what} expected, not {shown(given)}")


def device(args: Args) -> Imei:
    """`imei`, which is required. Raises CallerError (400), as all functions here."""
    given = args.get("imei")
    if type(given) is str and IMEI.fullmatch(given):  # as imei() does, without a call
        return Imei(given)
    return imei(given)


def is_command_id(given: object) -> TypeGuard[str]:
    """Whether a command can have this id."""
    return isinstance(given, str) and _COMMAND_ID.fullmatch(given) is not None


def unknown(args: Args, fields: Sequence[str]) -> CallerError:
    """The error for a request with a field that is neither `type` nor one of these."""
    given = next(one for one in args if one != "type" and one not in fields)
    return CallerError("400", unknown_field(given, fields))


def own_sites(args: Args) -> frozenset[str] | None:
    """The sites to which a list is narrowed; None: it is not narrowed."""
    given = args.get(OWN_SITES)
    return given if isinstance(given, frozenset) else None


def devices(args: Args) -> list[Imei]:
    """`imei`, or a list of them as `imeis`: each once, at most MAX_AT_ONCE.

    Raises CallerError, as all functions here do.
    """
    given = args.get("imeis")
    if given is None:
        return [device(args)]
    if args.get("imei") is not None:
        raise CallerError("400", "imei: either imei or imeis expected, not both")
    return listed(given, MAX_AT_ONCE)


def listed(given: object, max_count: int) -> list[Imei]:
    """A list of 1 to `max_count` IMEIs, each once."""
    if not isinstance(given, list) or not 1 <= len(given) <= max_count:
        raise expected("imeis", f"a list of 1 to {max_count} IMEIs", given)
    return list(dict.fromkeys(map(imei, given)))


def maybe_device(args: Args) -> Imei | None:
    """`imei`; None without it."""
    return None if args.get("imei") is None else imei(args["imei"])


def long(args: Args, max_long: int) -> int:
    """`long`, as digits or as an integer; the wire carries it without leading zeros."""
    given = args.get("long")
    if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) <= 32:
        given = int(given)
    if type(given) is not int or not 1 <= given <= max_long:  # a JSON true is an int, too
        raise expected("long", f"a whole number from 1 to {max_long}", given)
    return given


def key(args: Args, required: bool = False) -> str | None:
    """The caller's own name for a command. `required`: [command] require_key is true.

    Raises CallerError.
    """
    given = args.get("key")
    if given is None:
        if required:
            raise CallerError(
                "400",
                "key: your order number expected, for [command] require_key is true; nothing was "
                "sent",
            )
        return None
    if not isinstance(given, str) or not 1 <= len(given) <= MAX_KEY_LENGTH:
        raise expected("key", f"a string of 1 to {MAX_KEY_LENGTH} characters", given)
    if not given.isprintable():
        raise expected("key", "printable characters", given)
    return given


def seconds(args: Args, name: str, max_seconds: float) -> float | None:
    """A duration in seconds: a number, or a string such as "90" or "5m"."""
    given = args.get(name)
    if given is None:
        return None
    value: float | None = None
    if isinstance(given, str):
        try:
            value = duration(given)
        except (ValueError, OverflowError):
            value = None
    elif isinstance(given, int | float) and not isinstance(given, bool):
        value = float(given) if abs(given) < 1e15 else math.inf
    if value is None or not 0 < value <= max_seconds:
        raise expected(name, f"seconds, above 0 and at most {span(max_seconds)},", given)
    return value


def percent(args: Args, name: str) -> float | None:
    """A share in percent, from 0 to 100; None without it."""
    given = args.get(name)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 100:
        raise expected(name, "a number from 0 to 100", given)
    return float(given)


def yes(args: Args, name: str, default: bool) -> bool:
    """A field that is true or false; `default` without it."""
    given = args.get(name)
    if given is None:
        return default
    if not isinstance(given, bool):
        raise expected(name, "true or false", given)
    return given


def later(args: Args, name: str, now: float) -> float | None:
    """A field with a time that is still to come, in seconds since 1970; None without it."""
    given = args.get(name)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise expected(name, "seconds since 1970", given)
    if not now < given <= MAX_TIME:
        raise expected(name, "a time that is still to come", given)
    return float(given)


def maybe(args: Args, name: str) -> bool | None:
    """A field that is true or false; None without it."""
    return None if args.get(name) is None else yes(args, name, False)


def text(args: Args, name: str, max_length: int = 64) -> str | None:
    """A field with 1 to `max_length` printable characters; None without it."""
    given = args.get(name)
    if given is None:
        return None
    if not isinstance(given, str) or not 1 <= len(given) <= max_length:
        raise expected(name, f"a string of 1 to {max_length} characters", given)
    # PostgreSQL refuses NUL, and UTF-8 has no half surrogate pairs.
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in given):
        raise expected(name, "printable characters", given)
    return given


def required(args: Args, name: str, what: str, max_length: int = 64) -> str:
    """text(), which is required: `what` says what is expected."""
    given = text(args, name, max_length)
    if given is None:
        raise expected(name, what, given)
    return given


def choice(args: Args, name: str, among: tuple[str, ...]) -> str | None:
    """A field with one of these words; None without it."""
    given = args.get(name)
    if given is None:
        return None
    if not isinstance(given, str) or given not in among:
        raise expected(name, alternatives(among), given)
    return given


def limit(args: Args) -> int:
    """`limit`, 1 to MAX_LIMIT; DEFAULT_LIMIT without it."""
    given = args.get("limit", DEFAULT_LIMIT)
    if type(given) is not int or not 1 <= given <= MAX_LIMIT:
        raise expected("limit", f"a number from 1 to {MAX_LIMIT}", given)
    return given


def number(args: Args, name: str) -> int | None:
    """A field with a whole number from 0; None without it."""
    given = args.get(name)
    if given is None:
        return None
    if type(given) is not int or not 0 <= given < 2**63:
        raise expected(name, "a number from 0", given)
    return given


def moment(args: Args, name: str) -> float | None:
    """A field with a time, in whole seconds since 1970; None without it."""
    given = number(args, name)
    if given is not None and given > MAX_TIME:
        raise expected(name, "seconds since 1970", given)
    return None if given is None else float(given)


def secret_text(args: Args, name: str) -> str | None:
    """A text that no message may quote. Raises CallerError."""
    given = args.get(name)
    if given is None or (isinstance(given, str) and given):
        return given
    raise CallerError("400", f"{name}: a string of at least one character expected")


def names(args: Args, name: str) -> frozenset[str] | None:
    """A list of names, or one with commas in it."""
    given = args.get(name)
    if given is None:
        return None
    if isinstance(given, str):
        given = [part.strip() for part in given.split(",")]
    if not isinstance(given, list) or not all(isinstance(one, str) and one for one in given):
        raise expected(name, "a list of names", given)
    return frozenset(given)


def types(args: Args) -> frozenset[str]:
    """`events`: the types that its names stand for; nothing without it, which means all.

    Raises CallerError.
    """
    given = names(args, "events") or frozenset()
    try:
        must_be_known(given)
    except ValueError as err:
        raise CallerError("400", str(err)) from None
    return types_of(given)
