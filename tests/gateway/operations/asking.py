"""Operations as a caller asks for them, without a door."""

from __future__ import annotations

from typing import Any

import pytest

from devgate.errors import CallerError
from devgate.gateway.operations.entry import dispatch
from tests.gateway.whole import Whole


async def ask(whole: Whole, type: str, source: Any = "web:anna", **args: Any) -> dict[str, Any]:
    reply = await dispatch(whole.gateway, {"type": type, **args}, source)
    assert isinstance(reply, dict)
    return reply


async def refused(whole: Whole, type: str, **args: Any) -> tuple[str, str]:
    """The status and the sentence of an error."""
    with pytest.raises(CallerError) as caught:
        await ask(whole, type, **args)
    return caught.value.status, str(caught.value)
