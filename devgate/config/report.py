"""The table [report]."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import PlainValidator

from devgate.config.kinds import DAY, YEARS, came, seconds
from devgate.config.table import Table, setting


def _zone(value: object) -> str:
    try:
        if not isinstance(value, str) or not 1 <= len(value) <= 64:
            raise KeyError(value)
        return "UTC" if value == "UTC" else ZoneInfo(value).key
    except (ValueError, OSError, KeyError):
        raise ValueError(
            'the name of a time zone such as "Asia/Shanghai" expected (the package tzdata has '
            f"them), not {came(value)}"
        ) from None


class ReportSettings(Table):
    """Reports: what machines did by day and month."""

    zone: Annotated[str, PlainValidator(_zone)] = setting(
        "UTC", "The time zone by which days are cut, for sites without one of their own."
    )
    keep: Annotated[float, seconds(DAY, YEARS)] = setting(
        "1100d", "How long what was counted for reports is kept."
    )
