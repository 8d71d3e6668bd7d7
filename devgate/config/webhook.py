"""One [[webhook]]: a receiver of events."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import PlainValidator, ValidationError, model_validator

from devgate.config.kinds import YES_OR_NO, Misfit, came, path
from devgate.config.table import Table, setting

MAX_URL = 2048  # characters
MIN_KEY_BYTES, MAX_KEY_BYTES = 24, 64  # bytes of a secret, as Standard Webhooks has it
NEW_KEY_BYTES = 32  # of one that we make
PREFIX = "whsec_"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_EVENT = re.compile(r"[a-z]+(\.[a-z_]+)?", re.ASCII)


def key_of(secret: str) -> bytes:
    """The key in a secret. Raises ValueError, which says what was expected and never has the
    secret."""
    if secret.startswith(PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
            return key
    raise ValueError(
        f"{PREFIX} and {MIN_KEY_BYTES} to {MAX_KEY_BYTES} random bytes in base64 expected "
        '(printf "whsec_%s\\n" "$(openssl rand -base64 32)" makes such a one)'
    )


def new_secret() -> str:
    """A new random secret for `[[webhook]] secret`."""
    return PREFIX + base64.b64encode(secrets.token_bytes(NEW_KEY_BYTES)).decode()


def url_of(value: object) -> str:
    """A URL to post to. Raises ValueError, which says what was expected and never has the URL: its
    query may have a password."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError
        sound = len(str(value)) <= MAX_URL and str(value).isascii() and str(value).isprintable()
        if not sound or " " in str(value) or parts.fragment or parts.port == 0:
            raise ValueError
    except ValueError:
        raise ValueError('"https://HOST/PATH" expected, in ASCII, without a #fragment') from None
    if "@" in parts.netloc:
        raise ValueError("a URL without a user and a password expected: events are signed")
    return str(value)


def _secret(value: object) -> str:
    if value == "":
        return ""
    if not isinstance(value, str):
        raise ValueError(f'"{PREFIX}..." expected, not {came(value)}')
    key_of(value)
    return str(value)


def _events(value: object) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"a list of events or groups of events expected, not {came(value)}")
    for item in value:
        if not isinstance(item, str) or not _EVENT.fullmatch(item):
            raise ValueError(f'events like "command.ended" or "device" expected, not {came(item)}')
    return [str(item) for item in value]


def _name(value: object) -> str:
    if value != "" and not (isinstance(value, str) and _NAME.fullmatch(value)):
        raise ValueError(
            f"1 to 64 letters, digits, dots, dashes and underlines expected, not {came(value)}"
        )
    return str(value)


class WebhookSettings(Table):
    """A receiver of events."""

    url: Annotated[str, PlainValidator(url_of)] = setting(
        ..., "Where events are posted to; it answers 2xx once it has kept one.", secret=True
    )
    secret: Annotated[str, PlainValidator(_secret)] = setting(
        "", "The secret that signs what is posted: whsec_ and base64.", secret=True
    )
    secret_file: Annotated[str, path(optional=True)] = setting(
        "", "A file that holds the secret, in the place of secret."
    )
    events: Annotated[list[str], PlainValidator(_events)] = setting(
        [], "Which events, or groups of them; none given: all."
    )
    name: Annotated[str, PlainValidator(_name)] = setting(
        "", "Its name in lists, and the one under which its position is kept; else its host."
    )
    allow_private: Annotated[bool, YES_OR_NO] = setting(
        False, "It may be on this machine or in a private network."
    )

    @model_validator(mode="after")
    def _one_secret(self) -> WebhookSettings:
        if bool(self.secret) == bool(self.secret_file):
            raise Misfit("either secret or secret_file expected", "secret", "secret_file", "url")
        return self

    @property
    def called(self) -> str:
        """Its name: as configured, or made from the host and port of the URL."""
        if self.name:
            return self.name
        return re.sub(r"[^A-Za-z0-9._-]+", "-", urlsplit(self.url).netloc).strip("-._")[:64]

    @property
    def shown(self) -> str:
        """The URL without its query, which may hold a secret."""
        return self.url.partition("?")[0]


def webhook_of(given: Mapping[str, object]) -> WebhookSettings:
    """A webhook that is in no file. Raises ValueError with the key and what was expected."""
    try:
        return WebhookSettings.model_validate(given)
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        cause = first.get("ctx", {}).get("error")
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {cause or first['msg']}") from None


def once_each(webhooks: list[WebhookSettings]) -> None:
    """Raises Misfit for two of one name: they would share a position."""
    names: set[Any] = set()
    for number, webhook in enumerate(webhooks):
        if webhook.called in names:
            raise Misfit(
                f"a name of its own expected: there is another one called {webhook.called}",
                f"webhook.{number}.name",
                f"webhook.{number}.url",
            )
        names.add(webhook.called)
