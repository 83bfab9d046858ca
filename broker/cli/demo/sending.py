"""Chapters about sending and reading: the communiqué, a judicial request, a flash, an exercise.

May import `broker.cli`; `story` plays them. A chapter that finds something else than it expects raises
DemoFailure, which ends the demonstration.
"""

from __future__ import annotations

import time
from typing import Final

from broker.cli.demo.bulletins import communique, exercise, sample, sighting
from broker.cli.demo.stage import Stage
from broker.cli.exits import Exit
from broker.cli.options import utc_now
from schemas.bulletin.vocabularies import Kind
from schemas.loader import load_json

JUDICIAL_RULE: Final = "judicial-requests-to-judicial-desks-only"
EXERCISE: Final = "Ténéré 2026"
ROUTINE: Final = 3
"""Routine bulletins that Niger hands in before its flash."""

_ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024


def send_the_communique(stage: Stage) -> None:
    """One bulletin to three desks, of which one cannot receive yet."""
    world, teller = stage.world, stage.teller
    story = communique("ly/main", utc_now())
    teller.chapter("Libya sends a bulletin to Niger, Tunisia and Chad")
    teller.tell(f"It is {story.source}, {len(story.document):,} bytes:")
    teller.quote(story.title)
    started = time.monotonic()
    stage.send(story, "--precedence", "priority", to=("ne/main", "tn/main", "td/main"))
    stage.agencies.wait_for("tn/main", story.id)
    arrived = time.monotonic() - started
    stage.agencies.wait_for("ne/main", story.id)
    teller.tell(
        f"Libya's agency typed one command. {arrived:.1f} s later the bulletin lay verified in Tunis."
    )
    ((size,),) = world.ask_hub("SELECT length(ciphertext) FROM body")
    teller.tell(
        f"The hub holds {size:,} bytes that it cannot open, once, and 1,168 bytes for each desk: its key."
    )
    teller.check(
        "for Chad, whose node has never run, it waits in Libya, and Libya is told so",
        expected="waiting",
        found=stage.status("ly/main", story.id)["td/main"]["state"],
    )


def read_it(stage: Stage) -> None:
    """In Tunis and Niamey."""
    world, teller = stage.world, stage.teller
    story = stage.sent[0]
    teller.chapter("Tunis and Niamey read it")
    lines = stage.read("tn/main", "ly/main", story.id).splitlines()
    teller.tell("The reader in Tunis sees first, and again at the end:")
    for line in lines[:4]:
        teller.quote(line)
    teller.check(
        "the marking stands at the top and at the bottom",
        expected=lines[:4],
        found=lines[-4:],
    )
    sent = load_json(story.document, _ANSWER_BYTES_MAX, floats_under=frozenset({"coordinates"}))
    for desk in ("tn/main", "ne/main"):
        asked = ("inbox", "read", "ly/main", story.id, "--desk", desk, "--json")
        received = world.agency(desk, *asked).json()
        teller.check(
            f"{desk} reads exactly what Libya wrote, and where it stands in the log:"
            f" entry {received['verified']['index']}",
            expected=(sent.get("text"), "ly/main"),
            found=(received["bulletin"].get("text"), received["verified"]["sender"]),
        )
    readers = {"ne/main": "read", "tn/main": "read"}
    teller.check(
        "Libya learns that both have read it: each answered with a signed statement in the log",
        expected=set(readers),
        found=set(stage.agencies.wait_for_answers("ly/main", story.id, readers)),
    )


def request_judicial_help(stage: Stage) -> None:
    """To a judicial desk, and to a main desk."""
    world, teller = stage.world, stage.teller
    teller.chapter("Niger asks Tunisia to arrest a person (invented)")
    story = sample(Kind.JUDICIAL_REQUEST, "ne/judicial", utc_now())
    stage.send(story, to=("tn/judicial",))
    stage.agencies.wait_for("tn/judicial", story.id)
    teller.check(
        "the request reaches the judges in Tunis",
        expected=[story.id],
        found=stage.agencies.inbox("tn/judicial"),
    )
    again = stage.write(sample(Kind.JUDICIAL_REQUEST, "ne/judicial", utc_now()), "astray.json")
    refused = world.agency(
        *("ne/judicial", "bulletin", "send", str(again), "--to", "tn/main"),
        expected=Exit.REFUSED,
    )
    teller.tell("Then somebody in Niamey sends such a request to an ordinary desk. The answer:")
    for line in refused.complained.strip().splitlines()[:2]:
        teller.quote(line.strip())
    teller.check(
        f"the refusal names the rule that the states agreed on: {JUDICIAL_RULE}",
        expected=True,
        found=JUDICIAL_RULE in refused.complained,
    )
    teller.check(
        "nothing of it reached Tunis",
        expected=stage.inboxes["tn/main"],
        found=stage.agencies.inbox("tn/main"),
    )


def flash_overtakes(stage: Stage) -> None:
    """What is urgent passes what was handed in before it."""
    world, teller, agencies = stage.world, stage.teller, stage.agencies
    neighbours = ("dz/main", "ly/main", "ml/main")
    teller.chapter("A flash from Niger overtakes")
    routine = [sample(Kind.SITUATION_REPORT, "ne/main", utc_now()) for _ in range(ROUTINE)]
    flash = sighting("ne/main", utc_now())
    with world.processes.frozen("hub"):
        agencies.send_all("ne/main", neighbours, routine)
        for story in routine:
            stage.remember(story, *neighbours)
        stage.send(flash, "--precedence", "flash", to=neighbours)
        teller.tell(
            f"The hub's machine stands still for a moment. Niger hands in {ROUTINE} routine reports to"
            " Algeria, Libya and Mali, and then a flash:"
        )
        teller.quote(flash.title)
    for desk in neighbours:
        agencies.wait_for(desk, flash.id)
    index = agencies.wait_for_entry("ne/main", flash.id)
    later = [agencies.wait_for_entry("ne/main", each.id) > index for each in routine]
    # The first may have been on the wire as the hub stopped: nothing overtakes that.
    teller.check(
        "handed in last, it left before every report that was not on the wire already",
        expected=[True] * (ROUTINE - 1),
        found=later[1:],
    )
    for desk in neighbours:
        for story in routine:
            agencies.wait_for(desk, story.id)
    teller.check(
        "all four reached all three states, the flash stands first in their inboxes",
        expected=[(flash.id, set(stage.inboxes[desk])) for desk in neighbours],
        found=[(ids[0], set(ids)) for ids in map(agencies.inbox, neighbours)],
    )
    agencies.wait_for_alarm("dz/main", "urgent-bulletin", flash.id)
    told = world.agency("dz/main", "alarms", "list").printed
    teller.tell("Nobody in Algiers has opened it yet. Its node tells the duty officer:")
    for line in told.splitlines()[:1]:
        teller.quote(line)
    teller.check(
        "the alarm names the bulletin, and not a word of what it says",
        expected=(True, False),
        found=(flash.id in told, any(word in told for word in flash.words())),
    )


def show_an_exercise(stage: Stage) -> None:
    """Nobody takes it for real."""
    world, teller = stage.world, stage.teller
    teller.chapter("Morocco and Mauritania hold an exercise")
    story = exercise("ma/main", EXERCISE, utc_now())
    stage.send(story, to=("mr/main",))
    stage.agencies.wait_for("mr/main", story.id)
    listed = world.agency("mr/main", "inbox", "list", "--desk", "mr/main", "--json").json()
    statuses = [each["status"] for each in listed["bulletins"] if each["id"] == story.id]
    banner = f"*** EXERCISE {EXERCISE}: THIS IS NOT REAL ***"
    lines = stage.read("mr/main", "ma/main", story.id).splitlines()
    teller.tell("It is an incident report like any other, but its reader sees at top and bottom:")
    teller.quote(banner)
    teller.check(
        "the exercise is shown as one: in the list, in the first lines, in the last lines",
        expected=(["exercise"], True, True),
        found=(statuses, banner in lines[:4], banner in lines[-4:]),
    )
