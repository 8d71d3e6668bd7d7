"""What an event tells besides the device and the time, as JSON."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from devgate.gateway.records import encoded
from devgate.model import Imei

VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | st.text() | st.text().map(Imei) | st.lists(st.text(), max_size=2)
)  # fmt: skip
NAMES = st.sampled_from(("kind", "long", "key", "source", "message", "count"))


@given(st.dictionaries(NAMES, VALUES))
def test_it_is_what_the_library_writes(detail: dict[str, object]) -> None:
    assert encoded(detail) == json.dumps(detail, ensure_ascii=False, separators=(",", ":"))
