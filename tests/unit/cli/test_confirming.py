"""`barid bulletin confirm`, and what a person reads of a directory that is not fresh."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from broker.cli.drafts import new_bulletin
from broker.cli.exits import Exit
from schemas.bulletin.vocabularies import Kind
from schemas.errors import Problem
from tests.unit.cli.conftest import Barid
from tests.unit.cli.fake_node import FakeNode, fake_node
from tests.unit.cli.test_lifecycle import AT, NOW, POST, QUEUED, sent

ID: Final = str(QUEUED["id"])
PATH: Final = f"{POST}/{ID}/confirm"
CONFIRMATION: Final = {
    "by": "Salma B.",
    "token": "duty officer",
    "token_id": "9f2c4e6a8b0d",
    "at": AT,
    "directory_verified": "2026-11-23T09:00:00Z",
}
WORDS: Final = {"ar": "تنتظر", "fr": "Il attend", "en": "It waits"}
ASKED: Final = ("bulletin", "confirm", ID, "--desk", "ly/main")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[FakeNode]:
    """A node over TLS."""
    with fake_node(tmp_path) as serving:
        confirmed = {"id": ID, "desk": "ly/main", "confirmation": CONFIRMATION}
        serving.answer(PATH, confirmed)
        yield serving


def test_a_person_confirms(barid: Barid, node: FakeNode) -> None:
    """Their name goes to the node; who, when, and how old the directory was is printed."""
    result = barid(*ASKED, "--by", "Salma B.", *node.options)
    assert result.exit_code == Exit.OK
    assert result.stdout == (
        f"{ID} of ly/main leaves now. Confirmed by Salma B. (token duty officer) {AT}, with a directory"
        " last verified 2026-11-23T09:00:00Z.\n"
    )
    [asked] = node.asked
    assert (asked.method, asked.path, asked.query) == ("POST", PATH, [("by", "Salma B.")])


def test_a_person_is_named(barid: Barid, node: FakeNode) -> None:
    """Without a name nothing is asked."""
    result = barid(*ASKED, *node.options)
    assert (result.exit_code, node.asked) == (Exit.USAGE, [])


def test_for_a_program(barid: Barid, node: FakeNode) -> None:
    """What is kept, as JSON."""
    result = barid(*ASKED, "--by", "Salma B.", "--json", *node.options)
    assert json.loads(result.stdout)["confirmation"] == CONFIRMATION


def test_what_is_not_urgent_waits(barid: Barid, node: FakeNode) -> None:
    """The problem says for what."""
    node.refuse(PATH, Problem("directory-over-grace", "a routine bulletin waits"))
    result = barid(*ASKED, "--by", "Salma B.", *node.options)
    assert result.exit_code != Exit.OK
    assert "directory-over-grace" in result.stderr
    assert "the rest waits for a fresh directory" in result.stderr


def test_who_posts_is_told_in_three_languages(barid: Barid, node: FakeNode, tmp_path: Path) -> None:
    """How old the directory is, and what the bulletin waits for."""
    file = tmp_path / "bulletin.json"
    file.write_bytes(new_bulletin(Kind.THREAT_BULLETIN, "ly/main", "en", NOW))
    freshness = {"standing": "over-grace", "council_expires": AT, "words": WORDS | {"en": "Old"}}
    held = {"reason": "directory-over-grace", "needs": "fresh-directory", "words": WORDS}
    node.answer(POST, QUEUED | {"freshness": freshness, "held": held}, 202)
    result = barid("bulletin", "send", str(file), "--to", "tn/main", *node.options)
    assert result.exit_code == Exit.OK
    for said in ("Old", *WORDS.values()):
        assert said in result.stderr


def shown(barid: Barid, node: FakeNode, **more: Any) -> str:
    """What `bulletin status` prints of one bulletin."""
    members = json.loads(new_bulletin(Kind.THREAT_BULLETIN, "ly/main", "en", NOW))
    step = {"state": "queued", "at": AT, "policies": []}
    recipients = [{"desk": "tn/main", "state": "queued", "steps": [step]}]
    envelope = {"id": ID, "state": "sealed", "recipients": ["tn/main"], "sealed": AT}
    envelope |= {"directory_age_seconds": more.pop("age", 0)}
    view = sent(members | {"id": ID}, recipients=recipients, envelopes=[envelope], **more)
    node.answer(f"{POST}/{ID}", view)
    result = barid("bulletin", "status", ID, "--desk", "ly/main", *node.options)
    assert result.exit_code == Exit.OK
    return str(result.stdout)


@pytest.mark.parametrize(
    ("age", "says"),
    [(0, ""), (3600, ""), (3 * 3600 + 59, ", sealed with a directory verified 3 h before")],
)
def test_an_envelope_says_how_old_its_directory_was(
    barid: Barid, node: FakeNode, age: int, says: str
) -> None:
    """Over an hour only."""
    lines = shown(barid, node, age=age).splitlines()
    assert f"envelope {ID}: sealed, not logged{says}" in lines


def test_what_is_held_says_why(barid: Barid, node: FakeNode) -> None:
    """Since when, what it needs, and the reason beside each recipient."""
    held = {"reason": "directory-over-grace", "needs": "confirmation", "since": AT, "words": WORDS}
    printed = shown(barid, node, held=held)
    assert f"WAITS, the directory being over the grace. Since {AT}. It waits" in printed
    [row] = [line for line in printed.splitlines() if line.startswith("tn/main")]
    assert row.split() == ["tn/main", "queued", AT, "directory-over-grace"]


def test_who_confirmed_is_shown(barid: Barid, node: FakeNode) -> None:
    """With the age that they accepted."""
    never = {name: value for name, value in CONFIRMATION.items() if name != "directory_verified"}
    printed = shown(barid, node, confirmations=[CONFIRMATION, never])
    said = f"Confirmed by Salma B. (token duty officer) {AT}: the directory was"
    assert f"{said} last verified 2026-11-23T09:00:00Z." in printed
    assert f"{said} never verified." in printed
