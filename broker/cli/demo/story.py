"""The story: its chapters in their order, each telling what happens and checking that it did.

May import `broker.cli`; `command` plays it.
"""

from __future__ import annotations

from typing import Final

from broker.cli.demo.founding import found_the_exchange, start
from broker.cli.demo.judging import alter_an_entry, audit, look_for_words
from broker.cli.demo.lasting import kill_the_hub, send_a_file, start_what_was_off, withdraw
from broker.cli.demo.sending import (
    flash_overtakes,
    read_it,
    request_judicial_help,
    send_the_communique,
    show_an_exercise,
)
from broker.cli.demo.stage import Stage

CHAPTERS: Final = (
    found_the_exchange,
    start,
    send_the_communique,
    read_it,
    request_judicial_help,
    flash_overtakes,
    show_an_exercise,
    send_a_file,
    start_what_was_off,
    withdraw,
    kill_the_hub,
    look_for_words,
    audit,
    alter_an_entry,
)


def perform(stage: Stage) -> None:
    """Play all chapters.

    Raises:
        DemoFailure: a step ended otherwise than expected; the message names it.
    """
    stage.teller.title(
        "Barid: states exchange sealed bulletins through a hub that cannot read them.",
        "All of this is real: separate processes, real keys, TLS 1.3, databases on disk.",
        "Only the distance is missing: everything runs on this machine.",
    )
    for chapter in CHAPTERS:
        chapter(stage)


def restore(stage: Stage) -> None:
    """Start the hub again, with its true records, for those who want to look around."""
    stage.world.start_hub()
    stage.world.wait_for_hub()
