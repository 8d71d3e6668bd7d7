"""URLs of PostgreSQL: one server, or several of which one accepts writes.

Two forms of several hosts are accepted: libpq's own (`postgresql://user@a:5432,b:5432/name`) and
SQLAlchemy's (`postgresql://user@/name?host=a:5432&host=b:5432`). Both become one form: the options
`host` and `port` with commas, as libpq reads them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from sqlalchemy.engine import URL, make_url

from devgate.errors import SetupError

DRIVER = "postgresql+psycopg"
# Of several servers, connect to the one that accepts writes. A single one that does not says so.
WRITABLE = ("read-write", "primary")
READ_ONLY = ("read-only", "standby", "prefer-standby")

Host = tuple[str, str]  # its name, address or folder, and its port; "": libpq's default

# The part of a URL between the user and the path.
_PLACES = re.compile(r"(?P<front>[^:]+://(?:[^/?]*@)?)(?P<hosts>[^/?@]*,[^/?@]*)(?P<rest>[/?].*|)")


def parsed(text: str) -> URL:
    """The URL in that form. Raises ValueError (also ArgumentError) for a text that is no URL, and
    SetupError for options that prevent writes."""
    listed: list[Host] = []
    if found := _PLACES.fullmatch(text):
        listed = [_split(unquote(place)) for place in found["hosts"].split(",")]
        text = found["front"] + found["rest"]
    url = make_url(text).set(drivername=DRIVER)
    asked = url.query.get("host")
    if isinstance(asked, tuple):
        listed = [_split(place) for place in asked]
    if listed:
        url = with_hosts(url.difference_update_query(["host", "port"]), listed)
    wanted = url.query.get("target_session_attrs")
    several = len(hosts_of(url)) > 1
    if wanted in READ_ONLY or (several and wanted not in (None, *WRITABLE)):
        raise SetupError(
            f"[store] url: target_session_attrs={wanted} may lead to a server that takes no "
            "writes; read-write expected, which is the default for several hosts",
            status="400",
        )
    if several and wanted is None:
        url = url.update_query_dict({"target_session_attrs": "read-write"})
    return url


def _split(place: str) -> Host:
    if found := re.fullmatch(r"\[(.*)\](?::(\d*))?", place):
        return found[1], found[2] or ""
    host, colon, port = place.rpartition(":")
    return (host, port) if colon else (place, "")


def hosts_of(url: URL) -> list[Host]:
    """All servers of a URL that parsed() returned. Raises ValueError."""
    host, port = url.query.get("host", url.host or ""), url.query.get("port", str(url.port or ""))
    assert isinstance(host, str)
    assert isinstance(port, str)
    hosts, ports = host.split(","), port.split(",")
    if len(ports) == 1:
        ports *= len(hosts)  # libpq: one port for all
    if len(hosts) != len(ports):
        raise ValueError("as many ports as hosts expected, or one")
    if not all(port.isdecimal() or not port for port in ports):
        raise ValueError("a port is a number")
    return list(zip(hosts, ports, strict=True))


def with_hosts(url: URL, hosts: Sequence[Host]) -> URL:
    """The same database at these servers."""
    options = {"host": ",".join(host for host, _ in hosts)}
    if any(port for _, port in hosts):
        options["port"] = ",".join(port for _, port in hosts)
    return url.set(host=None, port=None).update_query_dict(options)


def alone(url: URL, host: Host) -> URL:
    """One server of several, whether it can be written to or not."""
    return with_hosts(
        url.difference_update_query(["host", "port", "target_session_attrs"]), [host]
    )


def shown(url: URL) -> str:
    """A database's URL for people: without passwords, and several hosts in libpq's form."""
    url = url.difference_update_query(["password", "sslpassword"])
    if url.get_backend_name() != "postgresql":
        return url.render_as_string()
    url = url.set(drivername="postgresql")
    hosts = hosts_of(url)
    if len(hosts) == 1 or any(host.startswith("/") for host, _ in hosts):
        return url.render_as_string()
    rendered = url.difference_update_query(["host", "port"]).set(host="HOSTS").render_as_string()
    return rendered.replace("HOSTS", ",".join(map(spelled, hosts)), 1)


def spelled(host: Host) -> str:
    """One server as people write it."""
    name, port = host
    if ":" in name:
        name = f"[{name}]"
    return f"{name}:{port}" if port else name
