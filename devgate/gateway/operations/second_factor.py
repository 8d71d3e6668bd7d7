"""The second factor: codes of an authenticator (TOTP, RFC 6238), and recovery codes."""

from __future__ import annotations

import base64
import hmac
import json
import re
import secrets
from collections.abc import Sequence

from devgate.errors import CallerError, StoreError
from devgate.gateway.added_webhooks import must_close, opened
from devgate.gateway.clock import time
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments, audit
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.passwords import hash_of, must_know_password
from devgate.gateway.operations.provider_users import must_not_be_of_provider
from devgate.gateway.operations.reply import Reply
from devgate.model import Source
from devgate.store import accounts as stored
from devgate.store.accounts import Account
from devgate.store.seal import SealError

STEP_SECONDS = 30  # for which a code is shown
DIGITS = 6
MAX_STEPS_APART = 1  # that a clock may be ahead or behind
RECOVERY_CODES = 10  # for when the authenticator is lost
MAX_CODE_LENGTH = 20  # characters
CODE = re.compile(r"[0-9]{6}", re.ASCII)
SECRET = re.compile(r"[A-Z2-7]{32,64}", re.ASCII)


def new_secret() -> str:
    """The secret of an authenticator: 160 bits, in base32."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def address_of(secret: str, name: str) -> str:
    """The address that an authenticator reads from a QR code."""
    return str(_totp(secret).get_provisioning_uri(name, "devgate"))


async def second_factor(gateway: Gateway, args: Args, source: str) -> Reply:
    """Turn one's own second factor on, with the password and a code that shows that it works; or
    `off`, with a code."""
    who = Source.of(source)
    if not who.person:
        raise CallerError("400", "only a user who has logged in has a second factor of his own")
    must_not_be_of_provider(gateway, who.person)
    password = arguments.secret_text(args, "password")
    off, code = arguments.yes(args, "off", False), arguments.text(args, "code", MAX_CODE_LENGTH)
    if code is None:
        raise CallerError("400", "code: the code that the authenticator shows expected")
    if off:
        if not await verify(gateway, who.person, code):
            raise wrong()
        await _keep(gateway, who, None, None, ())
        return {"status": "200", "message": "the second factor is off", "codes": []}
    secret = args.get("secret")
    if not isinstance(secret, str) or not SECRET.fullmatch(secret):
        raise CallerError("400", "secret: 32 to 64 letters and digits of base32 expected")
    if needed(gateway, who.person):
        raise CallerError("409", "the second factor is on already: turn it off first")
    if password is None:
        raise CallerError("400", "password: your password expected, not nothing")
    await must_know_password(gateway, who, "password", password)
    step = _step(secret, code)
    if step is None:
        raise wrong()
    codes = [f"{secrets.token_hex(3)}-{secrets.token_hex(3)}" for _ in range(RECOVERY_CODES)]
    await _keep(gateway, who, await must_close(gateway.records, gateway.seal, secret), step, codes)
    return {"status": "200", "message": "the second factor is on", "codes": codes}


def needed(gateway: Gateway, name: str) -> bool:
    """Whether this user has one."""
    return _of(gateway, name) is not None


async def verify(gateway: Gateway, name: str, code: str) -> bool:
    """Whether this is a good code of the user's authenticator, or one of his recovery codes. Each
    code is good once. Raises StoreError."""
    one = _of(gateway, name)
    if one is None or one.totp is None:
        return False
    code = code.strip().lower().replace(" ", "")
    if not CODE.fullmatch(code):
        return bool(await gateway.accounts.change(stored.use_recovery, name, hash_of(code)))
    try:
        step = _step(await opened(gateway.seal, one.totp), code)
    except SealError as err:
        raise StoreError(f"the second factor cannot be read: {err}") from None
    return step is not None and await gateway.records.change(stored.use_step, name, step)


def wrong() -> CallerError:
    """For a code that is none."""
    return CallerError("401", "code: that is not the code of now; nothing was changed")


def _of(gateway: Gateway, name: str) -> Account | None:
    found = (one for one in gateway.accounts.all("user") if one.name == name)
    return next((one for one in found if one.totp is not None), None)


async def _keep(
    gateway: Gateway, who: Source, totp: str | None, step: int | None, codes: Sequence[str]
) -> None:
    recovery = json.dumps([hash_of(one) for one in codes]) if codes else None
    changes = {"totp": totp, "totp_step": step, "recovery": recovery}
    await gateway.accounts.change(stored.change, "user", who.person, changes)
    changed = {"second_factor": {"old": totp is None, "new": totp is not None}}
    audit.note(gateway, "account.changed", who, kind="user", name=who.person, changes=changed)


def _step(secret: str, code: str) -> int | None:
    """The step of this code; None if it is not valid now."""
    totp, now = _totp(secret), int(time()) // STEP_SECONDS
    for step in range(now - MAX_STEPS_APART, now + MAX_STEPS_APART + 1):
        if hmac.compare_digest(totp.generate(step * STEP_SECONDS), code.encode()):
            return step
    return None


def _totp(secret: str):  # type: ignore[no-untyped-def]  # imported when somebody needs it
    from cryptography.hazmat.primitives.hashes import SHA1
    from cryptography.hazmat.primitives.twofactor.totp import TOTP

    try:
        return TOTP(base64.b32decode(secret), DIGITS, SHA1(), STEP_SECONDS)
    except ValueError:  # no base32, or too short
        raise CallerError(
            "400", "secret: 32 to 64 letters and digits of base32 expected"
        ) from None
