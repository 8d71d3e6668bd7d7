"""The table [http.oidc]: logging in through a provider of OpenID Connect."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import PlainValidator, model_validator

from devgate.config.addresses import loopback
from devgate.config.kinds import Misfit, Word, came, path
from devgate.config.table import Table, setting
from devgate.errors import WrongSettings

MAX_LINE = 255  # characters of one value
MAX_VALUES = 100  # of a list
MAX_FILE = 4096  # bytes of a secret's file
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}", re.ASCII)

Role = Literal["read", "command", "admin"]


def _line(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_LINE:
        raise ValueError(
            f"a text of one line and at most {MAX_LINE} characters expected, not {came(value)}"
        )
    return str(value)


def _secret(value: object) -> str:
    """Never quoted in a message."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_FILE:
        raise ValueError("a text of one line expected, not this")
    return str(value)


def _lines(value: object) -> list[str]:
    if isinstance(value, Word):
        value = [part.strip() for part in value.split(",") if part.strip()]
    elif isinstance(value, str):
        value = [value] if value else []
    if not isinstance(value, list) or len(value) > MAX_VALUES:
        raise ValueError(f"a list of at most {MAX_VALUES} texts expected, not {came(value)}")
    return [_line(one) for one in value]


def _scopes(value: object) -> list[str]:
    found = _lines(value)
    if "openid" not in found or not all(map(_SCOPE.fullmatch, found)):
        raise ValueError(f'words with "openid" among them expected, not {came(value)}')
    return found


def _issuer(value: object) -> str:
    """Plain http is only for a provider on this machine: else anybody on the way could log in."""
    if value == "":
        return ""
    url = _line(value)
    try:
        parts = urlsplit(url)
        _ = parts.port  # a number, or ValueError
    except ValueError:
        parts = urlsplit("")
    host = parts.hostname or ""
    local = bool(host) and loopback(f"[{host}]:80" if ":" in host else f"{host}:80")
    good = parts.scheme == "https" or (parts.scheme == "http" and local)
    if not host or not good or parts.query or parts.fragment or parts.username:
        raise ValueError(
            '"https://HOST/..." expected, as the provider calls itself ("http://" only on this '
            f"machine), not {came(value)}"
        )
    return url


LINE, LINES = PlainValidator(_line), PlainValidator(_lines)


class OidcSettings(Table):
    """Logins through a provider of OpenID Connect: who may log in, and with which role."""

    issuer: Annotated[str, PlainValidator(_issuer)] = setting(
        "", "The provider's URL, as it calls itself; nothing: nobody logs in that way.",
        restart=True,
    )  # fmt: skip
    client_id: Annotated[str, LINE] = setting(
        "", "What the provider calls this gateway.", restart=True
    )
    client_secret: Annotated[str, PlainValidator(_secret)] = setting(
        "", "What the gateway shows the provider; nothing, if it wants none.",
        restart=True, secret=True,
    )  # fmt: skip
    client_secret_file: Annotated[str, path(optional=True)] = setting(
        "", "A file that holds it, in the place of client_secret.", restart=True
    )
    ca_file: Annotated[str, path(optional=True)] = setting(
        "", "Authorities that the provider's certificate is from; nothing: the system's.",
        restart=True,
    )  # fmt: skip
    label: Annotated[str, LINE] = setting(
        "", 'What people call the provider: "Log in with ..."; nothing: its host.', restart=True
    )
    scopes: Annotated[list[str], PlainValidator(_scopes)] = setting(
        ["openid", "profile"], "What is asked of the provider.", restart=True
    )
    name_claim: Annotated[str, LINE] = setting(
        "preferred_username", "The claim that is a user's name here.", restart=True
    )
    role_claim: Annotated[str, LINE] = setting(
        "groups", "The claim whose values give a role.", restart=True
    )
    read: Annotated[list[str], LINES] = setting(
        [], "Values of it that give the role read; without any for a role, only users who were "
        "added for the provider log in.", restart=True,
    )  # fmt: skip
    command: Annotated[list[str], LINES] = setting(
        [], "Values of it that give the role command.", restart=True
    )
    admin: Annotated[list[str], LINES] = setting(
        [], "Values of it that give the role admin; of several the most counts.", restart=True
    )
    sites_claim: Annotated[str, LINE] = setting(
        "", 'The claim that names a user\'s sites, "*" for all; nothing: a role is for all sites.',
        restart=True,
    )  # fmt: skip

    @model_validator(mode="after")
    def _whole(self) -> OidcSettings:
        if self.issuer and not self.client_id:
            raise Misfit("what the provider calls this gateway expected", "client_id", "issuer")
        if self.client_secret and self.client_secret_file:
            raise Misfit(
                "either client_secret or client_secret_file expected, not both",
                "client_secret_file",
                "client_secret",
            )
        if self.issuer and not self.name_claim:
            raise Misfit("the claim that is a user's name expected", "name_claim", "issuer")
        if self.roles and not self.role_claim:
            raise Misfit("the claim that gives roles expected", "role_claim", "issuer")
        return self

    @property
    def roles(self) -> Mapping[str, Role]:
        """The role for each value of the claim. Empty: users have the roles that they have
        here."""
        found: dict[str, Role] = {}
        found |= dict.fromkeys(self.read, "read")
        found |= dict.fromkeys(self.command, "command")
        found |= dict.fromkeys(self.admin, "admin")
        return found

    @property
    def called(self) -> str:
        """The provider's name for people."""
        return self.label or urlsplit(self.issuer).netloc

    def secret(self) -> str:
        """The client's secret at the provider. Blocks: it may be in a file. Raises SetupError."""
        file = self.client_secret_file
        if not file:
            return self.client_secret
        try:
            with open(file, encoding="utf-8") as content:
                secret = content.read(MAX_FILE).strip()
        except (OSError, UnicodeError) as err:
            why = getattr(err, "strerror", None) or "it is no text"
            raise WrongSettings(f"[http.oidc] client_secret_file {file}: {why}") from None
        if not secret:
            raise WrongSettings(f"[http.oidc] client_secret_file {file}: it is empty")
        return secret
