"""Canaille, a provider of OpenID Connect, as a program of its own: with some people, and one
client, which is the gateway.

    python -m tests.http.oidc.canaille PORT PUBLIC   # where; the gateway's [http] public
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CLIENT, SECRET = "devgate", "hush-hush-hush-hush"
PASSWORD = "correct horse battery staple"
# Who there is: by the name for its login form, what it calls them, and their groups.
PEOPLE = {
    "anna": ("anna", ("gate-admins", "gate-operators")),
    "fang": ("王芳", ("gate-operators",)),
    "otto": ("otto", ()),
}
HOST = "localhost"  # another site than the gateway's 127.0.0.1, as it is in life
WAIT_SECONDS = 120.0  # for what a busy machine makes of the second that it needs


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def provider(public: str) -> Iterator[str]:
    """A running one for the gateway of that address. Gives its issuer."""
    port = free_port()
    program = [sys.executable, "-W", "ignore", "-m", __name__, str(port), public]
    root = Path(__file__).parents[3]
    process = subprocess.Popen(program, cwd=root, stdin=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + WAIT_SECONDS
        while True:
            assert process.poll() is None, "the provider has ended"
            assert time.monotonic() < ends, "the provider does not get ready"
            try:
                socket.create_connection((HOST, port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)


def serve(port: int, public: str) -> None:
    """Be the provider until the process is ended."""
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "true"  # plain text, on loopback
    from canaille import create_app
    from joserfc.jwk import RSAKey
    from werkzeug.serving import make_server

    key = RSAKey.generate_key(2048)
    key.ensure_kid()
    config: dict[str, Any] = {
        "SECRET_KEY": "of this test alone",
        "SERVER_NAME": f"{HOST}:{port}",
        "PREFERRED_URL_SCHEME": "http",
        "CANAILLE": {
            "DATABASE": "memory", "JAVASCRIPT": False, "HTMX": False, "TIMEZONE": "UTC",
            "ACL": {"DEFAULT": {"PERMISSIONS": ["edit_self", "use_oidc"],
                                "READ": ["user_name", "groups"], "WRITE": []}},
        },
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [key.as_dict(private=True)]},
    }  # fmt: skip
    app = create_app(config)
    with app.app_context():
        _fill(app.backend, public)
    make_server(HOST, port, app, threaded=True).serve_forever()


def _fill(backend: Any, public: str) -> None:
    import datetime

    from canaille.app import models

    groups: dict[str, list[Any]] = {}
    for name, (shown, its_groups) in PEOPLE.items():
        person = models.User(
            user_name=name, formatted_name=shown, family_name=shown, display_name=shown,
            emails=[f"{name}@shop.example"], password=PASSWORD,
        )  # fmt: skip
        backend.save(person)
        for group in its_groups:
            groups.setdefault(group, []).append(person)
    for group, members in groups.items():
        backend.save(models.Group(display_name=group, members=members))
    client = models.Client(
        client_id=CLIENT, client_secret=SECRET, client_name="The gateway", client_uri=public,
        client_id_issued_at=datetime.datetime.now(datetime.UTC),
        redirect_uris=[f"{public}/login/oidc/callback"], grant_types=["authorization_code"],
        response_types=["code"], scope=["openid", "profile", "groups"],
        token_endpoint_auth_method="client_secret_basic",
    )  # fmt: skip
    backend.save(client)
    client.audience = [client]
    backend.save(client)


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2])
