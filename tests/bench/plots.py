"""Plots as SVG without any library: horizontal bars, and a curve of shares.

May import the standard library; `report` writes what is made here beside `docs/performance.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH: Final = 760
_LEFT: Final = 300
_RIGHT: Final = 110
_ROW: Final = 26
_TOP: Final = 44
_STYLE: Final = (
    "text{font:13px sans-serif;fill:#222}.t{font-size:15px;font-weight:bold}.s{fill:#666}"
    ".b{fill:#2b6c8f}.l{stroke:#b3402a;stroke-width:1.5;stroke-dasharray:4 3}"
    ".a{stroke:#999}.c{fill:none;stroke:#2b6c8f;stroke-width:2}rect.p{fill:#fff}"
)


@dataclass(frozen=True, slots=True)
class BarRow:
    """One bar: its label, its length, and what stands behind it."""

    label: str
    value: float
    said: str


def bars(title: str, rows: Sequence[BarRow], limit: tuple[float, str] | None = None) -> str:
    """Horizontal bars from zero on one scale.

    Args:
        title: stands above.
        rows: from top to bottom.
        limit: a value marked by a dashed line, and its name.
    """
    longest = max([row.value for row in rows] + ([limit[0]] if limit else [])) or 1.0
    scale = (_WIDTH - _LEFT - _RIGHT) / longest
    height = _TOP + _ROW * len(rows) + 30
    parts = []
    for number, row in enumerate(rows):
        y = _TOP + _ROW * number
        width = max(1.0, row.value * scale)
        parts += [
            f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(row.label)}</text>',
            f'<rect class="b" x="{_LEFT}" y="{y + 3}" width="{width:.1f}" height="{_ROW - 9}"/>',
            f'<text x="{_LEFT + width + 6:.1f}" y="{y + 15}">{escape(row.said)}</text>',
        ]
    if limit:
        x, bottom = _LEFT + limit[0] * scale, _TOP + _ROW * len(rows)
        name = escape(limit[1])
        parts += [
            f'<line class="l" x1="{x:.1f}" y1="{_TOP - 4}" x2="{x:.1f}" y2="{bottom + 4}"/>',
            f'<text class="s" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{name}</text>',
        ]
    return _document(title, height, parts)


def shares(
    title: str, values: Sequence[float], unit: str, marks: Sequence[tuple[float, str]]
) -> str:
    """A curve: which share of the values is at most so large.

    Args:
        title: stands above.
        values: at least two.
        unit: of the values.
        marks: values marked by dashed lines, and their names.
    """
    ordered = sorted(values)
    most = max([ordered[-1], *(mark for mark, _ in marks)]) * 1.02
    left, right, bottom, height = 60, _WIDTH - 30, 260, 310
    across = (right - left) / most
    last = len(ordered) - 1
    points = " ".join(
        f"{left + value * across:.1f},{bottom - (bottom - _TOP) * number / last:.1f}"
        for number, value in enumerate(ordered)
    )
    parts = [
        f'<line class="a" x1="{left}" y1="{bottom}" x2="{right}" y2="{bottom}"/>',
        f'<line class="a" x1="{left}" y1="{_TOP}" x2="{left}" y2="{bottom}"/>',
        f'<polyline class="c" points="{points}"/>',
    ]
    for percent in (0, 50, 99):
        y = bottom - (bottom - _TOP) * percent / 100
        parts.append(
            f'<text class="s" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{percent} %</text>'
        )
    for step in range(5):
        value = most * step / 4
        parts.append(
            f'<text class="s" x="{left + value * across:.1f}" y="{bottom + 18}" '
            f'text-anchor="middle">{value:.0f} {escape(unit)}</text>'
        )
    for value, name in marks:
        x = left + value * across
        parts += [
            f'<line class="l" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>',
            f'<text class="s" x="{x - 6:.1f}" y="{bottom - 10}" text-anchor="end">{escape(name)}</text>',
        ]
    return _document(title, height, parts)


def _document(title: str, height: int, parts: Sequence[str]) -> str:
    size = f'viewBox="0 0 {_WIDTH} {height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="p" width="{_WIDTH}" height="{height}"/>',
        f'<text class="t" x="12" y="24">{escape(title)}</text>',
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
