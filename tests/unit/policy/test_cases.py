"""The shipped rules decide as the table of cases says."""

from __future__ import annotations

import re
from enum import StrEnum

import pytest

from broker.policy.cases import CASES, PARTIES, Case
from broker.policy.rules import AccessRules, default_texts
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


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_case(case: Case, shipped: AccessRules) -> None:
    """Each example gets the answer that the table gives, policies included."""
    assert shipped.decide(case.sender, case.recipient, case.what) == case.expected


def test_every_policy_decides_in_some_case(shipped: AccessRules) -> None:
    """No shipped policy is without an example in which it is named."""
    named = {name for case in CASES for name in case.expected.policies}
    assert named - {"no-permit"} == set(shipped.ids)


@pytest.mark.parametrize("forbid", re.findall(r'@id\("([^"]+)"\)\nforbid', default_texts()[0]))
def test_every_forbid_is_needed(forbid: str) -> None:
    """Without any one forbid, some example is decided otherwise: the table would notice its loss."""
    policy_text, schema_text = default_texts()
    without = re.sub(rf'@id\("{forbid}"\)\nforbid[^;]*;', "", policy_text)
    rules = AccessRules.load(without, schema_text)
    assert any(rules.decide(c.sender, c.recipient, c.what) != c.expected for c in CASES)


def test_parties_are_those_of_the_cases() -> None:
    """The directory of the examples holds every desk that they name."""
    assert {d.desk for case in CASES for d in (case.sender, case.recipient)} == set(PARTIES)


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
