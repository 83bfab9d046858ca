"""How the demonstration speaks: numbered chapters, plain sentences, and what was checked.

May import rich; `story` tells through it. It reads the same without colour.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from broker.cli.exits import DemoFailure
from broker.cli.output import harmless

_WIDTH_COLUMNS = 96


def _console() -> Console:
    width = None if sys.stdout.isatty() else _WIDTH_COLUMNS
    return Console(file=sys.stdout, highlight=False, width=width, soft_wrap=False)


@dataclass
class Teller:
    """Prints the story and counts what was checked."""

    console: Console = field(default_factory=_console)
    started: float = field(default_factory=time.monotonic)
    chapters: int = 0
    checked: int = 0

    def title(self, text: str, *sentences: str) -> None:
        """Open the story."""
        self.console.print(Text(text, style="bold"))
        for sentence in sentences:
            self.console.print(Text(sentence))

    def chapter(self, text: str) -> None:
        """Begin a chapter, with the seconds since the beginning."""
        self.chapters += 1
        self.console.print()
        heading = Text(f"{self.chapters}. {text}", style="bold cyan")
        heading.append(f"   [{self.seconds:.0f} s]", style="dim")
        self.console.print(heading)

    def tell(self, text: str) -> None:
        """Print a sentence."""
        self.console.print(Padding(Text(text), (0, 0, 0, 3)))

    def quote(self, text: str) -> None:
        """Print what somebody wrote, as it was written."""
        self.console.print(Padding(Text(harmless(text), style="italic"), (0, 0, 0, 6)))

    def check(self, claim: str, *, expected: object, found: object) -> None:
        """Print a claim that was checked.

        Raises:
            DemoFailure: it does not hold.
        """
        if expected != found:
            raise DemoFailure(f"{claim}: expected {expected!r}, found {found!r}")
        self.checked += 1
        line = Text("ok ", style="bold green")
        line.append(claim, style="default")
        self.console.print(Padding(line, (0, 0, 0, 3)))

    def end(self) -> None:
        """Close the story."""
        self.console.print()
        closing = (
            f"{self.checked} claims were checked, and all of them hold. {self.seconds:.0f} seconds."
        )
        self.console.print(Text(closing, style="bold"))

    @property
    def seconds(self) -> float:
        """Seconds since the story began."""
        return time.monotonic() - self.started
