"""The table, for a terminal and for the README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.figures import FIGURES, Figure, Rounds, Values, medians
from benchmark.servers import Kind

# A ratio to these is shown beside devgate's own figures.
REFERENCES = ("floor", "rows", "uvloop")
NONE = "-"


@dataclass(frozen=True, slots=True)
class Result:
    """What a run of the bench found out."""

    machine: Mapping[str, str]
    kinds: Sequence[Kind]
    devices: int  # in the storm
    rounds: Mapping[str, Rounds]  # by server
    notes: Sequence[str]  # what was left out or failed

    def medians(self) -> dict[str, Values]:
        """By server, then by figure."""
        return {kind.key: medians(self.rounds[kind.key]) for kind in self.kinds}


def table(result: Result) -> str:
    """Rows of figures, a column a server, and how devgate stands to the references."""
    found = result.medians()
    references = [key for key in REFERENCES if key in found and "devgate" in found]
    header = ["", ""] + [kind.title for kind in result.kinds]
    header += [f"devgate / {key}" for key in references]
    rows = [header]
    for figure in FIGURES:
        cells = [figure.title, figure.unit]
        cells += [_shown(figure, found[kind.key]) for kind in result.kinds]
        cells += [_ratio(figure, found, key) for key in references]
        rows.append(cells)
    rounds = max((len(rounds) for rounds in result.rounds.values()), default=0)
    lines = [f"{name:8} {value}" for name, value in result.machine.items()]
    lines.append(f"{'rounds':8} {rounds}, medians; a storm is {result.devices:,} devices")
    lines += ["", *aligned(rows)]
    if result.notes:
        lines += ["", *result.notes]
    return "\n".join(lines)


def as_json(result: Result) -> dict[str, object]:
    """Everything, for other programs: medians and the rounds they come from."""
    return {
        "machine": dict(result.machine),
        "devices": result.devices,
        "figures": {f.key: {"title": f.title, "unit": f.unit} for f in FIGURES},
        "servers": {kind.key: kind.title for kind in result.kinds},
        "medians": result.medians(),
        "rounds": {key: [dict(v) for v in rounds] for key, rounds in result.rounds.items()},
        "notes": list(result.notes),
    }


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of columns: the first two to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _shown(figure: Figure, values: Values) -> str:
    value = values.get(figure.key)
    return NONE if value is None else f"{value:,.{figure.digits}f}"


def _ratio(figure: Figure, found: Mapping[str, Values], reference: str) -> str:
    ours, theirs = found["devgate"].get(figure.key), found[reference].get(figure.key)
    return NONE if ours is None or not theirs else f"{ours / theirs:.2f}"
