"""The report: a table for the terminal, JSON, plots, and the measured part of a page in `docs/`.

May import the rooms of the bench; `__main__` calls it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench.figures import Section, as_plain, number

BEGIN: Final = "<!-- measured: written by make bench -->"
END: Final = "<!-- measured: end -->"
PAGE: Final = "performance.md"
FIGURES: Final = "figures.json"
FOLDER: Final = "performance"


@dataclass(frozen=True, slots=True)
class Report:
    """All that a run found: the machine, the figures, plots by their file's name, and where it is written."""

    machine: str
    day: str
    sections: Sequence[Section]
    plots: Mapping[str, str] = field(default_factory=dict)
    page: str = PAGE
    figures: str = FIGURES

    def as_json(self) -> str:
        """The figures for programs."""
        plain = {
            "machine": self.machine,
            "day": self.day,
            "sections": as_plain(self.sections),
        }
        return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"

    def as_markdown(self) -> str:
        """The figures beside their bars, and the plots."""
        lines = [BEGIN, "", f"Measured on {self.day}: {self.machine}.", ""]
        for section in self.sections:
            lines += [f"### {section.title[0].upper()}{section.title[1:]}", ""]
            lines += ["| figure | measured | bar | | |", "| --- | ---: | --- | --- | --- |"]
            for each in section.figures:
                bar = "" if each.bar is None else str(each.bar)
                value = f"{number(each.value)} {each.unit}".strip()
                row = [each.what, value, bar, each.verdict, each.remark]
                lines.append(f"| {' | '.join(row)} |")
            lines.append("")
        lines += [f"![{name.partition('.')[0]}]({FOLDER}/{name})" for name in self.plots]
        return "\n".join([*lines, "", END])

    def write(self, docs: Path) -> None:
        """Write JSON and plots into `docs/performance/`, and the measured part of the page.

        Raises:
            RuntimeError: the page has no place for it.
        """
        page, folder = docs / self.page, docs / FOLDER
        text = page.read_text("utf-8")
        before, found, rest = text.partition(BEGIN)
        _, ended, after = rest.partition(END)
        if not found or not ended:
            raise RuntimeError(f"{page} has no measured part between its two marks")
        folder.mkdir(exist_ok=True)
        (folder / self.figures).write_text(self.as_json(), "utf-8")
        for name, plot in self.plots.items():
            (folder / name).write_text(plot, "utf-8")
        page.write_text(f"{before}{self.as_markdown()}{after}", "utf-8")
