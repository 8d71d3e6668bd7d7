"""Where the value of a key is from."""

from __future__ import annotations

import pytest

from devgate.demo import throw_away
from devgate.gateway.operations.configuration import _keys


@pytest.mark.parametrize(
    ("file", "said"), [(None, "program"), ("/etc/devgate/gateway.toml", "file")]
)
def test_a_value_of_no_file_is_the_programs(file: str | None, said: str) -> None:
    """A page of the demo called its values those of a file, and said that none was read."""
    with throw_away("run/devgate.sock", "sqlite:///demo.db") as settings:
        origins = {one["key"]: one["from"] for one in _keys(settings, (), file, "a database")}
    assert origins["device.listen"] == origins["store.url"] == said
    assert origins["command.ack_timeout"] == "default"
