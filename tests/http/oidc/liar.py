"""A server that answers as a provider of OpenID Connect, correctly or with a fault."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

CLIENT, SECRET = "devgate", "hush hush hush"
KEYS: dict[str, Any] = {
    "RS256": RSAKey.generate_key(2048, {"kid": "rsa"}),
    "ES256": ECKey.generate_key("P-256", {"kid": "ec"}),
    "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "okp"}),
    "Ed25519": OKPKey.generate_key("Ed25519", {"kid": "okp by its new name"}),
}


class Liar:
    """What it says next. `url` is where it is reached."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[str] = []  # paths
        self.form: dict[str, str] = {}  # of the last request for a token
        self.authorization = ""  # ... and its header
        self.nonce = self.challenge = ""
        self.algorithm, self.kid = "RS256", "rsa"
        self.key: Any = None  # in the place of the one that it publishes
        self.claims: dict[str, Any] = {}  # in the place of, None for none
        self.token: str | None = None  # in the place of an ID token
        self.configuration: dict[str, Any] = {}
        self.answers: dict[str, tuple[int, Mapping[str, str], bytes]] = {}  # by path

    def begun(self, url: str) -> None:
        """Somebody was sent there."""
        query = {name: value[0] for name, value in parse_qs(urlsplit(url).query).items()}
        assert query["code_challenge_method"] == "S256"
        self.nonce, self.challenge = query["nonce"], query["code_challenge"]

    def answer(self, path: str) -> tuple[int, Mapping[str, str], bytes]:
        """The answer to a request for that path."""
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]
        found: dict[str, Any] = {}
        if path == "/.well-known/openid-configuration":
            found = {
                "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/keys",
                "userinfo_endpoint": f"{self.url}/userinfo", **self.configuration,
            }  # fmt: skip
        elif path == "/keys":
            strange = {"kty": "LATTICE", "kid": "pq"}
            found = {"keys": [strange, *(key.as_dict(private=False) for key in KEYS.values())]}
        elif path == "/token":
            verifier = self.form.get("code_verifier", "")
            made = base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=")
            assert made.decode() == self.challenge, "PKCE"
            found = {"access_token": "a", "token_type": "Bearer", "id_token": self._token()}
        elif path == "/userinfo":
            found = {"sub": "7", "preferred_username": "wang"}
        return 200, {}, json.dumps(found).encode()

    def _token(self) -> str | None:
        if self.token is not None:
            return self.token
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": CLIENT, "sub": "7", "iat": now, "exp": now + 300,
            "nonce": self.nonce, **self.claims,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        key = self.key or KEYS[self.algorithm]
        header = {"alg": self.algorithm, "kid": self.kid, "x-strange": "and not critical"}
        if not self.kid:
            del header["kid"]
        return _signed(header, claims, key)


def _signed(header: dict[str, Any], claims: dict[str, Any], key: Any) -> str:
    from joserfc.jws import JWSRegistry

    rules = JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
    return str(jwt.encode(header, claims, key, registry=rules))


def with_hmac(claims: Mapping[str, Any], key: bytes | None) -> str:
    """A token of the algorithm "HS256" with this key; without one, of "none"."""
    parts = ({"alg": "none" if key is None else "HS256", "kid": "rsa"}, claims)
    signed = b".".join(_base64(json.dumps(part).encode()) for part in parts)
    signature = b"" if key is None else _base64(hmac.digest(key, signed, "sha256"))
    return (signed + b"." + signature).decode()


def _base64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


@contextmanager
def liar() -> Iterator[Liar]:
    """One that listens on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(made.answer(urlsplit(self.path).path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            made.authorization = self.headers.get("Authorization", "")
            made.form = {name: value[0] for name, value in parse_qs(body).items()}
            self._say(made.answer(urlsplit(self.path).path))

        def _say(self, answer: tuple[int, Mapping[str, str], bytes]) -> None:
            status, headers, body = answer
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # it has read enough

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Liar(f"http://127.0.0.1:{server.server_address[1]}")
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        try:
            yield made
        finally:
            server.shutdown()
            serving.join()
