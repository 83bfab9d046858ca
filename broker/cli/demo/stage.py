"""The stage: the world, the teller, the agencies, and what was sent so far; every chapter plays on it.

May import `broker.cli`; the chapters act through it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from broker.cli.demo.asking import Agencies
from broker.cli.demo.bulletins import Story
from broker.cli.demo.telling import Teller
from broker.cli.demo.world import World


@dataclass
class Stage:
    """One performance.

    Args:
        world: with nothing made yet.
        teller: prints.
        agencies: ask the nodes.
        sent: bulletins that were sent, the oldest first; the communiqué is the first.
        envelopes: how many envelopes carried them.
        inboxes: desk → the ids that it must have received.
        words: Arabic words of all that was sent.
        excerpts: bytes of the attached file, which no disk but its owners' may hold.
    """

    world: World
    teller: Teller
    agencies: Agencies
    sent: list[Story] = field(default_factory=list)
    envelopes: int = 0
    inboxes: dict[str, list[str]] = field(default_factory=dict)
    words: set[str] = field(default_factory=set)
    excerpts: list[bytes] = field(default_factory=list)

    def write(self, story: Story, name: str) -> Path:
        """Write a bulletin to a file, as an agency has it before it sends."""
        file = self.world.directory / name
        file.write_bytes(story.document)
        return file

    def send(self, story: Story, *options: str, to: tuple[str, ...]) -> None:
        """Have the sender's agency hand a bulletin in, and remember who must get it."""
        desk = story.desk
        file = self.write(story, f"{story.id}.json")
        recipients = [word for each in to for word in ("--to", each)]
        self.world.agency(desk, "bulletin", "send", str(file), *recipients, *options)
        self.remember(story, *to)

    def remember(self, story: Story, *desks: str) -> None:
        """Note that a bulletin was sent, in one envelope, to these desks."""
        self.sent.append(story)
        self.envelopes += 1
        self.words |= story.words()
        for desk in desks:
            self.inboxes.setdefault(desk, []).append(story.id)

    def status(self, desk: str, bulletin_id: str) -> dict[str, dict[str, Any]]:
        """What the sender's agency sees of each recipient: desk → state, and the steps to it."""
        asked = ("bulletin", "status", bulletin_id, "--desk", desk, "--json")
        listed = self.world.agency(desk, *asked).json()["recipients"]
        return {each["desk"]: each for each in listed}

    def read(self, desk: str, sender: str, bulletin_id: str) -> str:
        """What a reader sees."""
        asked = ("inbox", "read", sender, bulletin_id, "--desk", desk)
        return self.world.agency(desk, *asked).printed.strip()
