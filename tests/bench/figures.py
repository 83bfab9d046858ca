"""Figures and their bars: what a measurement returns, and the table that a person reads.

May import rich and the standard library; every measurement makes figures, `__main__` prints and keeps them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure is held against: a least, or a most."""

    value: float
    at_most: bool = False

    def met_by(self, value: float) -> bool:
        """Whether a figure reaches it."""
        return value <= self.value if self.at_most else value >= self.value

    def __str__(self) -> str:
        return f"{'at most' if self.at_most else 'at least'} {number(self.value)}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: what it says, its value and unit, its bar where it has one, and a remark."""

    what: str
    value: float
    unit: str
    bar: Bar | None = None
    remark: str = ""

    @property
    def verdict(self) -> str:
        """Beside the bar: met, or missed."""
        if self.bar is None:
            return ""
        return "met" if self.bar.met_by(self.value) else "MISSED"


@dataclass(frozen=True, slots=True)
class Section:
    """The figures of one measurement."""

    title: str
    figures: tuple[Figure, ...]


def number(value: float) -> str:
    """A figure as people read it: three digits that matter."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(sections: Sequence[Section]) -> str:
    """All figures beside their bars, in columns."""
    rows = [("figure", "", "", "bar", "", "")]
    for section in sections:
        rows += [("", "", "", "", "", ""), (section.title.upper(), "", "", "", "", "")]
        rows += [
            (
                f"  {each.what}",
                number(each.value),
                each.unit,
                "" if each.bar is None else str(each.bar),
                each.verdict,
                each.remark,
            )
            for each in section.figures
        ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    lines = []
    for what, value, unit, bar, verdict, remark in rows:
        line = (
            f"{what:<{widths[0]}}  {value:>{widths[1]}} {unit:<{widths[2]}}  "
            f"{bar:<{widths[3]}}  {verdict:<{widths[4]}}  {remark}"
        )
        lines.append(line.rstrip())
    return "\n".join(lines)


def as_plain(sections: Sequence[Section]) -> list[dict[str, Any]]:
    """The same for JSON."""
    return [
        {
            "title": section.title,
            "figures": [
                {
                    "what": each.what,
                    "value": round(each.value, 4),
                    "unit": each.unit,
                    "bar": None if each.bar is None else str(each.bar),
                    "verdict": each.verdict or None,
                    "remark": each.remark or None,
                }
                for each in section.figures
            ],
        }
        for section in sections
    ]
