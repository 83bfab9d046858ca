"""The shipped rules decide as the table of cases says, and the table is read strictly."""

from __future__ import annotations

import re
from enum import StrEnum

import pytest

from broker.policy.rules import AccessRules, default_cases, default_texts
from broker.policy.table import BASE, Case, load_table
from schemas.bulletin.vocabularies import (
    Caveat,
    Classification,
    DeskFunction,
    Kind,
    Precedence,
    Purpose,
    Status,
    Tlp,
    Topic,
)
from schemas.errors import ConfigurationError
from tests.unit.policy.examples import AT, shipped_book, shipped_table

CASES = shipped_table().cases
FORBIDS = re.findall(r'@id\("([^"]+)"\)\nforbid', default_texts()[0])
BUILT_IN = {"no-permit"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.number} {case.why}")
def test_case(case: Case, shipped: AccessRules) -> None:
    """Each example gets the answer that the table gives, by the rules that it names."""
    assert case.holds(shipped.decide(case.sender, case.recipient, case.context))


def test_every_policy_decides_in_some_case(shipped: AccessRules) -> None:
    """No shipped policy is without an example in which it is named."""
    named = {name for case in CASES for name in case.by}
    assert named - BUILT_IN == set(shipped.ids)


@pytest.mark.parametrize("forbid", FORBIDS)
def test_every_forbid_is_needed(forbid: str) -> None:
    """Without any one forbid, some example is decided otherwise: the table would notice its loss."""
    policy_text, schema_text = default_texts()
    without = re.sub(rf'@id\("{forbid}"\)\nforbid[^;]*;', "", policy_text)
    assert without != policy_text
    rules = AccessRules.load(without, schema_text)
    assert not all(
        case.holds(rules.decide(case.sender, case.recipient, case.context)) for case in CASES
    )


@pytest.mark.parametrize(
    ("entity", "vocabulary"),
    [
        ("Function", DeskFunction),
        ("Status", Status),
        ("Kind", Kind),
        ("Topic", Topic),
        ("Purpose", Purpose),
        ("Precedence", Precedence),
        ("Tlp", Tlp),
        ("Classification", Classification),
        ("Caveat", Caveat),
    ],
)
def test_schema_lists_the_vocabulary(entity: str, vocabulary: type[StrEnum]) -> None:
    """The shipped schema knows each word of the vocabulary, and no other."""
    found = re.search(rf"entity {entity} enum \[([^\]]*)\];", default_texts()[1])
    assert found is not None
    assert re.findall(r'"([^"]+)"', found[1]) == [word.value for word in vocabulary]


def _appended(text: str) -> str:
    return f"{default_cases()}\n{text}\n"


CASE = '[[case]]\nwhy = "w"\nfrom = "{}"\nto = "{}"\nwhat = "{}"\nexpected = "{}"\nby = ["{}"]'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "it is no TOML"),
        ("", f"what.{BASE}"),
        (
            _appended(CASE.format("xx/main", "ly/main", "ordinary", "permit", "a")),
            "xx/main is neither",
        ),
        (
            _appended(CASE.format("tn/main", "ly/main", "nothing", "permit", "a")),
            r"no section \[what.nothing\]",
        ),
        (_appended(CASE.format("tn/main", "ly/main", "ordinary", "perhaps", "a")), "expected"),
        (_appended(CASE.format("tn/main", "ly/main", "ordinary", "permit", "A B")), "by"),
        (_appended(CASE.format("tn", "ly/main", "ordinary", "permit", "a")), "from"),
        (
            _appended(CASE.format("tn/main", "ly/main", "ordinary", "permit", "a") + "\nmore = 1"),
            "more",
        ),
        (_appended('[what.x]\ntlp = "blue"'), "what.x: tlp"),
        (_appended('[what.x]\npersonal_data = "yes"'), "what.x: personal_data"),
        (_appended('[what.x]\nrelease_to = ["tn"]'), "release_to go together"),
        (
            _appended('[desks."tn/main"]\nkind = "state"\nfunctions = []'),
            "the council has this desk",
        ),
        (_appended('[desks.here]\nkind = "state"\nfunctions = []'), "a desk is MEMBER/UNIT"),
        (_appended("[other]"), "sections what, desks and case only"),
        ("#" * (256 * 1024 + 1), "more than"),
    ],
    ids=lambda value: value[-30:] if isinstance(value, str) else "",
)
def test_a_table_that_is_wrong_is_refused(text: str, said: str) -> None:
    """Whoever edits the table is told where it is wrong, and how."""
    with pytest.raises(ConfigurationError, match=said):
        load_table(text, shipped_book().council, AT)
