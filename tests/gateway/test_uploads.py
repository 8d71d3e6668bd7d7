"""Files that callers hand over in parts."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from devgate.errors import CallerError
from devgate.gateway import uploads
from devgate.gateway.uploads import Uploads


async def refused(uploads: Uploads, id: str | None, data: bytes = b"x") -> str:
    with pytest.raises(CallerError) as caught:
        await uploads.add(id, data)
    return caught.value.status


async def test_parts_are_one_file(autojump_clock: MockClock) -> None:
    here = Uploads()
    one = await here.add(None, b"imei\n")
    assert (await here.add(one.id, b"1\n")).size == 7
    for _ in range(2):
        with here.reading(one.id) as found:
            assert found.file.read() == b"imei\n1\n"
            assert await refused(here, one.id) == "409"
    here.drop(one.id)
    assert await refused(here, one.id) == "400"


async def test_there_are_not_too_many_and_none_is_kept_for_ever(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_FILES", 2)
    monkeypatch.setattr(uploads, "MAX_BYTES", 10)
    here = Uploads()
    one, other = await here.add(None, b"12345"), await here.add(None, b"1234")
    assert await refused(here, None) == "429"
    assert await refused(here, one.id, b"12") == "429"
    await trio.sleep(uploads.UNUSED_SECONDS - 1)
    await here.add(other.id, b"5")
    await trio.sleep(2)
    assert await refused(here, one.id) == "400"
    assert here.find(other.id).size == 5
    here.drop(other.id)
