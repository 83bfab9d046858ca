"""`barid policy`: the table of cases run and one bulletin explained, for people who do not read Cedar."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from broker.cli.exits import Exit
from tests.unit.cli.founding import Barid, directory_file, run

pytestmark = pytest.mark.usefixtures("_cheap_keystores")

SAMPLES = Path(__file__).parents[3] / "schemas" / "samples"
THREAT = SAMPLES / "threat_bulletin.en.json"
JUDICIAL = SAMPLES / "judicial_request.en.json"


@pytest.fixture
def draft(founded: Path, barid: Barid) -> Path:
    """A draft of what the exchange has in force, to be edited."""
    invitation = founded / "trust" / "invitation.json"
    source = ("--directory", directory_file(founded), "--invitation", invitation)
    run(barid, "trust", "draft", *source, "--out", founded / "draft")
    return founded / "draft"


def test_the_shipped_table_holds(barid: Barid) -> None:
    """Without any source what Barid ships is asked, and every answer is the one expected."""
    shown = run(barid, "policy", "test")
    count = len(json.loads(run(barid, "policy", "test", "--json")))
    assert shown.splitlines()[-1].startswith(f"{count} cases by ")
    assert shown.splitlines()[-1].endswith("; 0 answers are wrong.")
    assert "(WRONG)" not in shown


def test_the_table_for_a_program(barid: Barid) -> None:
    """As JSON, each case has its answer beside what was expected."""
    first = json.loads(run(barid, "policy", "test", "--json"))[0]
    assert first == {
        "case": 1,
        "from": "tn/main",
        "to": "ly/main",
        "what": "ordinary",
        "why": "states exchange bulletins",
        "answer": "permit",
        "by": ["standing-mechanism"],
        "expected": "permit",
        "expected_by": ["standing-mechanism"],
        "holds": True,
    }


def test_the_directory_in_force_is_asked(founded: Path, barid: Barid) -> None:
    """From a directory file, verified from the invitation, the table that was signed is run."""
    invitation = founded / "trust" / "invitation.json"
    source = ("--directory", directory_file(founded), "--invitation", invitation)
    assert "0 answers are wrong" in run(barid, "policy", "test", *source)


def test_an_edited_rule_shows_in_the_draft(draft: Path, barid: Barid) -> None:
    """Who loosens a rule sees which cases it breaks, and the command ends 1."""
    policy = draft / "policy.cedar"
    text = policy.read_text("utf-8")
    loosened = text.replace("when { context.personal_data };", "when { false };")
    assert loosened != text
    policy.write_text(loosened, "utf-8")
    result = barid("policy", "test", "--from", draft)
    assert result.exit_code == Exit.REFUSED
    wrong = [line for line in result.stdout.splitlines() if "(WRONG)" in line]
    assert len(wrong) == 2
    assert "observers read nothing about persons" in wrong[0]
    assert result.stdout.splitlines()[-1].endswith("2 answers are wrong.")


def test_a_table_that_is_wrong_names_case_and_field(draft: Path, barid: Barid) -> None:
    """A case that cannot be read is named by its number and its field."""
    table = draft / "policy.cases.toml"
    text = table.read_text("utf-8").replace('expected = "permit"', 'expected = "maybe"', 1)
    table.write_text(text, "utf-8")
    result = barid("policy", "test", "--from", draft)
    assert result.exit_code == Exit.CONFIGURATION
    assert "case 1: expected: " in result.stderr


def test_a_bulletin_that_may_go_is_explained(barid: Barid) -> None:
    """Each desk gets its own answer, with the rules that permit it, in words."""
    shown = run(barid, "policy", "explain", THREAT, "--to", "ly/main", "--to", "un/observer")
    mechanism = (
        "The states of the Tripoli Plan of Action (the standing mechanism) write to each other"
    )
    observers = "States write to observers. Observers are the desks of organisations, and desks of"
    assert shown.splitlines() == [
        "From eg/main to ly/main it may go:",
        f"  standing-mechanism: {mechanism} on any matter.",
        "From eg/main to un/observer it may go:",
        f"  states-to-observers: {observers} a state with that function.",
    ]


def test_a_bulletin_that_may_not_go_is_explained(barid: Barid) -> None:
    """What forbids it is named in words, and the command ends 1."""
    result = barid(
        "policy", "explain", JUDICIAL, "--to", "tn/judicial", "--to", "tn/main", "--json"
    )
    assert result.exit_code == Exit.REFUSED
    allowed, refused = json.loads(result.stdout)
    assert (allowed["desk"], allowed["answer"]) == ("tn/judicial", "permit")
    assert (refused["desk"], refused["answer"]) == ("tn/main", "refuse")
    assert refused["rules"] == [
        {
            "id": "judicial-only-caveat-to-judicial-desks-only",
            "says": "Only judicial desks receive what is marked `judicial_only`.",
        },
        {
            "id": "judicial-requests-to-judicial-desks-only",
            "says": "Only judicial desks receive judicial requests.",
        },
    ]


def test_no_rule_permits_is_explained(draft: Path, barid: Barid) -> None:
    """That nothing permits it is said in words too."""
    council: Any = json.loads((draft / "council.json").read_text("utf-8"))
    council["groups"]["tripoli"]["members"].remove("ly")
    (draft / "council.json").write_text(json.dumps(council), "utf-8")
    topics = json.loads(THREAT.read_text("utf-8")) | {
        "topics": ["development", "judicial_cooperation"]
    }
    bulletin = draft / "bulletin.json"
    bulletin.write_text(json.dumps(topics), "utf-8")
    result = barid("policy", "explain", bulletin, "--to", "ly/main", "--from", draft)
    assert result.exit_code == Exit.REFUSED
    assert result.stdout.splitlines() == [
        "From eg/main to ly/main it may not go:",
        "  no-permit: No rule permits it: nothing is sent that a rule does not permit.",
    ]


@pytest.mark.parametrize(
    ("desk", "code", "said"),
    [
        ("ly/harbour", Exit.CONFIGURATION, "the council grants nothing to ly/harbour"),
        ("harbour", Exit.USAGE, "is no desk"),
    ],
)
def test_a_desk_that_is_not_there(desk: str, code: Exit, said: str, barid: Barid) -> None:
    """A desk of no council, and what is no desk at all, are told apart."""
    result = barid("policy", "explain", THREAT, "--to", desk)
    assert result.exit_code == code
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_a_broken_bulletin_is_no_question(tmp_path: Path, barid: Barid) -> None:
    """A bulletin that breaks the schema is refused with its field, and nothing is decided."""
    broken = json.loads(THREAT.read_text("utf-8")) | {"purpose": "curiosity"}
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(broken), "utf-8")
    result = barid("policy", "explain", path, "--to", "ly/main")
    assert result.exit_code == Exit.REFUSED
    assert "$.purpose" in result.stderr
    assert result.stdout == ""
