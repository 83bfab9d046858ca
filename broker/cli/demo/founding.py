"""The first chapters: keys are made, a directory is signed, hub and nodes start.

May import `broker.cli`; `story` plays them.
"""

from __future__ import annotations

from broker.cli.demo.stage import Stage
from broker.cli.demo.world import (
    EXCHANGE,
    GOVERNORS,
    LATE,
    STATES,
    THRESHOLD,
    UNITS,
    files_under,
)

_EARLY = tuple(member for member in STATES if member != LATE)


def found_the_exchange(stage: Stage) -> None:
    """Keys, directory, invitations."""
    world, teller = stage.world, stage.teller
    teller.chapter("Nine states found an exchange")
    teller.tell(f"{', '.join(STATES.values())}.")
    world.make_keys()
    teller.tell(
        "Each state, the auditor of the African Union, the hub and five governors make their own keys."
        " No private key ever leaves its owner."
    )
    world.sign_directory()
    files = files_under([world.trust / "repository"])
    teller.tell(
        f"{THRESHOLD} of {len(GOVERNORS)} governors sign who belongs to {EXCHANGE} and who may write to"
        f" whom: {len(files)} files. The hub publishes them, and cannot change a word."
    )


def start(stage: Stage) -> None:
    """Processes, and sealing keys in the log."""
    world, teller = stage.world, stage.teller
    teller.chapter("The hub and eight nodes start")
    hub = world.start_hub()
    world.join()
    nodes = [world.start_node(member) for member in _EARLY]
    # All of them start while the tokens are made.
    world.make_tokens()
    world.wait_for_hub()
    teller.tell(
        f"The hub is process {hub}, the nodes are {', '.join(str(node) for node in nodes)}."
        f" {STATES[LATE]}'s has not been switched on yet."
    )
    ready = {f"{member}/{unit}" for member in _EARLY for unit in UNITS}
    for desk in ("ly/main", "ne/main", "dz/main"):
        stage.agencies.wait_for_keys(desk, ready - {desk})
    teller.check(
        "each desk's sealing key stands in the hub's log, signed by its own node",
        expected=len(ready),
        found=world.ask_hub("SELECT count(*) FROM sealing_key")[0][0],
    )
