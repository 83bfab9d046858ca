"""What a run of the bench says, without running it: table, JSON, plots, and the measured part of the page."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.bench.figures import Bar, Figure, Section, table
from tests.bench.plots import BarRow, bars, shares
from tests.bench.report import BEGIN, END, Report

SECTIONS = [
    Section(
        "some",
        (
            Figure("fast enough", 0.5, "x", Bar(0.35)),
            Figure("too slow", 300.0, "ms", Bar(250.0, at_most=True), "of 5"),
            Figure("just said", 12345.0, "/s"),
        ),
    )
]


@pytest.mark.parametrize(
    ("bar", "value", "expected"),
    [
        (Bar(0.35), 0.35, "met"),
        (Bar(0.35), 0.349, "MISSED"),
        (Bar(50, at_most=True), 50, "met"),
        (Bar(50, at_most=True), 50.1, "MISSED"),
        (None, 1.0, ""),
    ],
)
def test_a_figure_is_held_against_its_bar(bar: Bar | None, value: float, expected: str) -> None:
    """At least or at most, and the bar itself is met."""
    assert Figure("what", value, "x", bar).verdict == expected


def test_the_table_shows_each_figure_beside_its_bar() -> None:
    """A line a figure: value, unit, bar, verdict, remark."""
    lines = [" ".join(line.split()) for line in table(SECTIONS).splitlines()]
    assert lines[3:] == [
        "fast enough 0.50 x at least 0.35 met",
        "too slow 300 ms at most 250 MISSED of 5",
        "just said 12,345 /s",
    ]


@pytest.mark.parametrize(
    "plot",
    [
        bars("a < b", [BarRow("one & two", 3.0, "3"), BarRow("none", 0.0, "0")], (2.0, "bar")),
        shares("times", [3.0, 1.0, 2.0], "ms", [(2.5, "bar")]),
    ],
    ids=["bars", "shares"],
)
def test_a_plot_is_well_formed(plot: str) -> None:
    """Other programs can read it, whatever its labels hold."""
    assert ET.fromstring(plot).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own


def test_the_report_replaces_the_measured_part_alone(tmp_path: Path) -> None:
    """What people wrote around it stays, and a second run leaves nothing of the first."""
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", "utf-8")
    report = Report("a machine", "2026-11-25", SECTIONS, {"one.svg": "<svg/>"})
    report.write(tmp_path)
    report.write(tmp_path)
    text = page.read_text("utf-8")
    assert text.startswith(f"before\n{BEGIN}\n\nMeasured on 2026-11-25: a machine.\n")
    assert text.endswith(f"![one](performance/one.svg)\n\n{END}\nafter\n")
    assert "| too slow | 300 ms | at most 250 | MISSED | of 5 |" in text
    assert "old" not in text
    plain = json.loads((tmp_path / "performance" / "figures.json").read_text("utf-8"))
    assert plain["sections"][0]["figures"][1]["verdict"] == "MISSED"
    assert (tmp_path / "performance" / "one.svg").read_text("utf-8") == "<svg/>"


def test_a_page_without_a_place_is_not_overwritten(tmp_path: Path) -> None:
    """A page that lost its marks is left as it is."""
    page = tmp_path / "performance.md"
    page.write_text(f"{END}\n{BEGIN}\n", "utf-8")
    with pytest.raises(RuntimeError, match="no measured part"):
        Report("a machine", "2026-11-25", SECTIONS).write(tmp_path)
    assert page.read_text("utf-8") == f"{END}\n{BEGIN}\n"
