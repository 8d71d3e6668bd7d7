"""Requests to the provider: bounded in time and size, and no redirect is followed.

The operator sets the issuer, so it may have a private address.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpcore
import trio

from devgate import __version__
from devgate.errors import WrongSettings
from devgate.webhooks.poster import Body

TIMEOUT_SECONDS = 10.0  # seconds for a whole exchange
CONNECT_SECONDS = 5.0  # ... and for one address to accept a connection
MAX_ANSWER_BYTES = 256 * 1024  # bytes of an answer
MAX_CONNECTIONS = 4  # connections
MAX_WAITING = 32  # requests that wait for one of these, or for an answer
IDLE_SECONDS = 15.0  # seconds after which an unused connection is closed


class ProviderAway(Exception):
    """The provider does not answer, or not as OpenID Connect says. A sentence for the log."""


class ProviderRefused(Exception):
    """The provider has answered that it does not accept this. A sentence for the log."""


class ProviderRequests:
    """Asks one provider. Belongs to one trio run."""

    def __init__(self, issuer: str, ca_file: str = "") -> None:
        """`ca_file`: the authorities that are trusted; "": those of the system.
        Raises SetupError if it cannot be used."""
        self._plain = issuer.startswith("http:")
        self._tls: ssl.SSLContext | None = None
        if not self._plain:
            try:
                self._tls = ssl.create_default_context(cafile=ca_file or None)
            except (OSError, ssl.SSLError) as err:
                why = err.strerror or str(err)
                raise WrongSettings(f"[http.oidc] ca_file {ca_file}: {why}") from None
        self._pool: httpcore.AsyncConnectionPool | None = None
        self._waiting = 0

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object at this address. Raises ProviderAway."""
        status, found = await self._json("GET", url, dict(headers or {}), b"")
        if status != 200:
            raise ProviderAway(f"{shown(url)} answered {status}")
        return found

    async def post(self, url: str, headers: Mapping[str, str], form: str) -> dict[str, Any]:
        """The JSON object that answers a form. Raises ProviderAway, and ProviderRefused for a
        status of 400 to 499."""
        head = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        status, found = await self._json("POST", url, head, form.encode())
        if 400 <= status < 500 and status not in (408, 429):
            why = [found.get("error"), found.get("error_description")]
            said = ": ".join(one for one in why if isinstance(one, str))
            raise ProviderRefused(f"{shown(url)} answered {status} {said}"[:300])
        if status != 200:
            raise ProviderAway(f"{shown(url)} answered {status}")
        return found

    async def _json(
        self, method: str, url: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, Any]]:
        if urlsplit(url).scheme != "https" and not self._plain:
            raise ProviderAway(f"{shown(url)}: an address with https:// expected")
        if self._waiting >= MAX_WAITING:
            raise ProviderAway("too many requests wait for it")
        self._waiting += 1
        try:
            with trio.fail_after(TIMEOUT_SECONDS):
                status, content = await self._exchange(method, url, headers, body)
        except trio.TooSlowError:
            raise ProviderAway(f"{shown(url)}: no answer within {TIMEOUT_SECONDS:g} s") from None
        except (
            httpcore.TimeoutException,
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.UnsupportedProtocol,
            ssl.SSLError,
            OSError,
        ) as err:
            why = " ".join(str(err).split()) or type(err).__name__
            raise ProviderAway(f"{shown(url)}: {why[:200]}") from None
        finally:
            self._waiting -= 1
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            if status == 200:
                raise ProviderAway(f"{shown(url)} answered with something that is no JSON object")
            found = {}
        return status, found

    async def _exchange(
        self, method: str, url: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes]:
        pool = self._pool = self._pool or self._make()
        head = {
            "Accept": "application/json",
            "User-Agent": f"devgate/{__version__}",
            **({"Content-Length": str(len(body))} if body else {}),
            **headers,
        }
        async with pool.stream(
            method,
            url,
            headers=list(head.items()),
            content=Body(body) if body else None,
            extensions={"timeout": {"connect": CONNECT_SECONDS}},
        ) as response:
            got, size = [], 0
            with trio.CancelScope() as enough:
                async for part in response.aiter_stream():
                    size += len(part)
                    got.append(part)
                    if size > MAX_ANSWER_BYTES:
                        # The connection is closed instead: see webhooks.poster.
                        enough.cancel()
            if size > MAX_ANSWER_BYTES:
                raise ProviderAway(
                    f"{shown(url)} answered with more than {MAX_ANSWER_BYTES} bytes"
                )
            return response.status, b"".join(got)

    def _make(self) -> httpcore.AsyncConnectionPool:
        return httpcore.AsyncConnectionPool(
            ssl_context=self._tls, max_connections=MAX_CONNECTIONS, keepalive_expiry=IDLE_SECONDS
        )

    async def aclose(self) -> None:
        """Close the connections. The next request opens new ones."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.aclose()


def shown(url: str) -> str:
    """An address without its query, for a log."""
    return url.partition("?")[0][:200]
