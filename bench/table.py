"""Medians, ratios and the one table they are printed in. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `ratio` says how often the project is better than the contender; `met` is None when there is no goal."""

    number: str
    figure: str
    ours: str
    other: str
    ratio: str
    goal: str
    met: bool | None


HEADINGS = ("", "figure", "ours", "peer or floor", "ratio", "goal", "met")


def higher(ours: Sequence[float], other: Sequence[float]) -> float:
    """How many times as high ours is: the median over the rounds of each round's own ratio."""
    return median(mine / theirs for mine, theirs in zip(ours, other, strict=True))


def lower(ours: Sequence[float], other: Sequence[float]) -> float:
    """How many times as low ours is."""
    return higher(other, ours)


def quantile(values: Sequence[float], part: float) -> float:
    """The value that `part` (0..1) of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def times(ratio: float) -> str:
    """A ratio for people."""
    return f"{figure(ratio)}x"


def figure(value: float) -> str:
    """Three significant digits at least, thousands apart: 0.0123, 1.23, 123, 12,345."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.3g}"


def rates(values: Iterable[float], unit: str) -> str:
    """The median of the rounds with its unit."""
    return f"{figure(median(values))} {unit}"


def render(rows: Sequence[Row]) -> str:
    """The table as text in aligned columns."""
    lines: list[Sequence[str]] = [HEADINGS, *((r.number, r.figure, r.ours, r.other, r.ratio, r.goal, _met(r.met)) for r in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def _met(met: bool | None) -> str:
    return "" if met is None else "yes" if met else "NO"
