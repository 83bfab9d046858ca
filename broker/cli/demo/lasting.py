"""Chapters about what lasts: a large file, nodes that are off, a withdrawal, a hub that dies.

May import `broker.cli`; `story` plays them. A chapter that finds something else than it expects raises
DemoFailure, which ends the demonstration.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Final

from broker.cli.demo.bulletins import arabic_words, sample
from broker.cli.demo.stage import Stage
from broker.cli.demo.world import LATE
from broker.cli.options import utc_now
from schemas.bulletin.vocabularies import Kind

FILE_BYTES: Final = 20 * 1024 * 1024
UNDER_WAY: Final = 6
"""Bulletins that Libya sends while the hub is killed."""

_EXCERPTS: Final = 16
_EXCERPT_BYTES: Final = 32
_PATIENCE_SECONDS: Final = 60.0
_REASON: Final = "كانت القافلة لعمال الطرق، ولا خطر منها"
_EXCHANGE_LEAVES: Final = (
    "SELECT entry_index, hex(leaf) FROM entry WHERE log = 'exchange' ORDER BY entry_index"
)


def send_a_file(stage: Stage) -> None:
    """Sealed at one node, opened at another, byte for byte the same."""
    world, teller = stage.world, stage.teller
    teller.chapter(f"Egypt sends Tunisia a file of {FILE_BYTES // 1024**2} MiB")
    content = secrets.token_bytes(FILE_BYTES)
    survey = world.directory / "aerial-survey.bin"
    survey.write_bytes(content)
    step = FILE_BYTES // _EXCERPTS
    stage.excerpts = [content[at : at + _EXCERPT_BYTES] for at in range(0, FILE_BYTES, step)]
    story = sample(Kind.RISK_ASSESSMENT, "eg/main", utc_now())
    file = stage.write(story, "survey.json")
    started = time.monotonic()
    world.agency("eg/main", "bulletin", "attach", str(file), str(survey))
    send = ("bulletin", "send", str(file), "--to", "tn/main", "--attach", str(survey))
    world.agency("eg/main", *send)
    stage.remember(story, "tn/main")
    stage.agencies.wait_for("tn/main", story.id)
    out = world.directory / "saved"
    asked = ("inbox", "save", "eg/main", story.id, "--out", str(out), "--desk", "tn/main")
    saved = [Path(line) for line in world.agency("tn/main", *asked).printed.splitlines()]
    teller.tell(
        f"{time.monotonic() - started:.1f} s later Tunis has saved it, with the evidence:"
        f" {', '.join(path.name for path in saved)}."
    )
    teller.check(
        f"the file arrived byte for byte: SHA-256 {hashlib.sha256(content).hexdigest()[:16]}…",
        expected=content == saved[-1].read_bytes(),
        found=True,
    )


def start_what_was_off(stage: Stage) -> None:
    """A node that lost its power, and one that has never run."""
    world, teller, agencies = stage.world, stage.teller, stage.agencies
    teller.chapter("Mali's node is off, and comes back; Chad's starts at last")
    killed = world.processes.kill("node-ml")
    teller.tell(f"The power fails in Bamako (kill -9 of process {killed}). Algeria sends to it:")
    story = sample(Kind.THREAT_BULLETIN, "dz/main", utc_now())
    teller.quote(story.title)
    stage.send(story, "--precedence", "immediate", to=("ml/main",))
    agencies.wait_for_state("dz/main", story.id, "ml/main", "accepted")
    teller.check(
        "Algeria sees that the hub has it, and that Mali has not",
        expected="accepted",
        found=stage.status("dz/main", story.id)["ml/main"]["state"],
    )
    revived, first = world.start_node("ml"), world.start_node(LATE)
    teller.tell(f"Then Mali's node starts as process {revived}, and Chad's as {first}.")
    agencies.wait_for("ml/main", story.id)
    answered = agencies.wait_for_answers("dz/main", story.id, {"ml/main": "delivered"})
    teller.check(
        "the bulletin reached Mali, each earlier one is still there once, and Algeria has the proof",
        expected=(Counter(stage.inboxes["ml/main"]), {"ml/main"}),
        found=(Counter(agencies.inbox("ml/main")), set(answered)),
    )
    communique = stage.sent[0]
    agencies.wait_for("td/main", communique.id)
    # What had waited went out in an envelope of its own.
    stage.envelopes += 1
    teller.check(
        "the communiqué, which had waited in Libya for Chad's key, reached Chad by itself",
        expected=[communique.id],
        found=agencies.inbox("td/main"),
    )


def withdraw(stage: Stage) -> None:
    """From one who has read it, and from one who has not."""
    world, teller, agencies = stage.world, stage.teller, stage.agencies
    teller.chapter("Libya withdraws a bulletin")
    story = sample(Kind.THREAT_BULLETIN, "ly/main", utc_now())
    stage.send(story, to=("mr/main", "tn/main"))
    for desk in ("mr/main", "tn/main"):
        agencies.wait_for(desk, story.id)
    stage.read("tn/main", "ly/main", story.id)
    teller.tell("Tunis has read it, Nouakchott not yet. Then Libya takes it back, and says why:")
    teller.quote(_REASON)
    why = ("--reason", _REASON, "--language", "ar", "--json")
    command = ("bulletin", "withdraw", story.id, "--desk", "ly/main", *why)
    withdrawal = world.agency("ly/main", *command).json()["id"]
    stage.envelopes += 1
    stage.words |= arabic_words(_REASON)
    for desk in ("mr/main", "tn/main"):
        stage.inboxes[desk].append(withdrawal)
        agencies.wait_for(desk, withdrawal)
    expected = {"mr/main": "withdrawn", "tn/main": "withdrawn"}
    teller.check(
        "both confirm it with a signed answer, which says how far it had come",
        expected={"mr/main": "unread", "tn/main": "read"},
        found=agencies.wait_for_answers("ly/main", story.id, expected),
    )
    unread = stage.read("mr/main", "ly/main", story.id)
    teller.check(
        "in Nouakchott, where nobody had read it, nobody can any more; the reason is shown",
        expected=(True, False, True),
        found=("BEFORE ANYBODY HERE READ IT" in unread, story.title in unread, _REASON in unread),
    )
    again = stage.read("tn/main", "ly/main", story.id).splitlines()
    warning = "*** WITHDRAWN BY ITS SENDER: DO NOT USE IT ***"
    teller.check(
        "in Tunis it is still there, with a warning at top and bottom",
        expected=2,
        found=again.count(warning),
    )


def kill_the_hub(stage: Stage) -> None:
    """With kill -9, while bulletins are under way."""
    world, teller, agencies = stage.world, stage.teller, stage.agencies
    teller.chapter("The hub dies while bulletins are under way")
    before = world.ask_hub(_EXCHANGE_LEAVES)
    stories = [sample(Kind.THREAT_BULLETIN, "ly/main", utc_now()) for _ in range(UNDER_WAY)]
    sender = threading.Thread(
        target=agencies.send_all, args=("ly/main", ("tn/main",), stories), daemon=True
    )
    sender.start()
    world.processes.wait_until(
        "the hub accepts a bulletin",
        lambda: True if world.log_size() > len(before) else None,
        _PATIENCE_SECONDS,
    )
    killed = world.processes.kill("hub")
    sender.join(_PATIENCE_SECONDS)
    teller.tell(
        f"Libya hands {UNDER_WAY} bulletins to its node. As soon as the hub has one of them, it is"
        f" killed like a machine whose plug is pulled (kill -9 of process {killed})."
    )
    after = world.ask_hub(_EXCHANGE_LEAVES)
    accepted = world.ask_hub("SELECT count(*) FROM envelope")[0][0] - stage.envelopes
    teller.tell(
        f"By then the hub had accepted {accepted} of them. Libya's node takes all {UNDER_WAY} from its"
        " agency all the same, and keeps trying."
    )
    revived = world.start_hub()
    world.wait_for_hub()
    teller.tell(f"The hub comes back as process {revived}.")
    for story in stories:
        agencies.wait_for("tn/main", story.id)
        stage.remember(story, "tn/main")
    teller.check(
        f"what the hub had accepted is all still there, unchanged: {len(after)} entries",
        expected=after,
        found=world.ask_hub(_EXCHANGE_LEAVES)[: len(after)],
    )
    teller.check(
        f"all {UNDER_WAY} arrived in Tunis, each exactly once",
        expected=Counter(stage.inboxes["tn/main"]),
        found=Counter(agencies.inbox("tn/main")),
    )
