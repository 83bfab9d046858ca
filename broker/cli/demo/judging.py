"""The last chapters: what the hub knows, what the auditor finds, and whether it sees an altered record.

May import `broker.cli`; `story` plays them. A chapter that finds something else than it expects raises
DemoFailure, which ends the demonstration.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from broker.cli.demo.stage import Stage
from broker.cli.demo.world import STATES, files_under
from broker.cli.exits import Exit

_ARABIC: Final = re.compile(rb"(?:[\xd8\xd9][\x80-\xbf]){4,}")
"""Four Arabic letters or more in a row, in UTF-8: what else lies on a disk is not searched word by word."""


def look_for_words(stage: Stage) -> None:
    """What the hub's disk holds of the bulletins, and the nodes' disks of the file."""
    world, teller = stage.world, stage.teller
    teller.chapter("What does the hub know?")
    public = _content_of(files_under([world.trust / "repository"]))
    words = {word for word in stage.words if word.encode() not in public}
    files = [*files_under([world.hub]), world.directory / "hub.log"]
    held = _content_of(files)
    written = b" ".join(_ARABIC.findall(held))
    teller.check(
        f"of {len(words)} Arabic words in the bulletins, none stands in its {len(held):,} bytes of"
        f" database, journal, files and log ({len(files)} files)",
        expected=[],
        found=sorted(word for word in words if word.encode() in written),
    )
    at_nodes = _content_of(files_under([world.node(member) for member in STATES]))
    teller.check(
        f"of {len(stage.excerpts)} excerpts of Egypt's file, none stands there, nor on any node's disk",
        expected=[],
        found=[each.hex() for each in stage.excerpts if each in held or each in at_nodes],
    )
    routing = [desk for desk in ("ly/main", "tn/judicial") if desk.encode() in held]
    teller.check(
        "it knows who wrote to whom, and must: it applies the access rules",
        expected=["ly/main", "tn/judicial"],
        found=routing,
    )


def audit(stage: Stage) -> None:
    """By someone whom nobody has to trust, and who trusts nobody."""
    teller = stage.teller
    teller.chapter("The African Union's auditor checks everything")
    report = stage.world.audit()
    counts = report["counts"]
    teller.tell(
        f"It downloads both logs ({report['logs']['directory']['size']} and"
        f" {report['logs']['exchange']['size']} entries), checks every hash and signature, and asks the"
        f" access rules again for each of {counts['recipients']} deliveries: {report['milliseconds']} ms."
    )
    teller.check("it finds nothing wrong", expected=[], found=report["findings"])
    witnesses = report["witnesses"]
    quorums = [len(log["members"]) >= witnesses["quorum"] for log in witnesses["logs"].values()]
    teller.check(
        f"at least {witnesses['quorum']} of {len(witnesses['named'])} states' nodes cosigned both logs: the"
        " hub shows everybody the same",
        expected=[True, True],
        found=quorums,
    )
    teller.check(
        "its count of accepted envelopes is the number that were sent",
        expected=stage.envelopes,
        found=counts["entries"].get("envelope.accepted"),
    )


def alter_an_entry(stage: Stage) -> None:
    """In the hub's database, by its operator."""
    world, teller = stage.world, stage.teller
    teller.chapter("Somebody alters the hub's records")
    world.processes.stop("hub")
    index, entry = world.find_entry("envelope.accepted")
    altered = entry.replace(b'"desk":"ne/main"', b'"desk":"dz/main"')
    teller.check(
        f"in the database, entry {index} now claims that Algeria got the communiqué, not Niger",
        expected=1,
        found=world.write_entry(index, altered) if altered != entry else 0,
    )
    world.start_hub()
    world.wait_for_hub()
    report = world.audit(expected=Exit.FINDINGS)
    world.processes.stop("hub")
    world.write_entry(index, entry)
    findings = report["findings"]
    for finding in findings:
        teller.quote(
            f"{finding['log']} log, entry {finding['index']}, rule {finding['rule']}:"
            f" {finding['detail']}"
        )
    teller.check(
        "the auditor says which entry it is, and which rule it breaks, and nothing else",
        expected=[("exchange", index, "opening")],
        found=[(each["log"], each["index"], each["rule"]) for each in findings],
    )


def _content_of(files: list[Path]) -> bytes:
    return b"\0".join(path.read_bytes() for path in files)
