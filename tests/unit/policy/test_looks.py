"""Decisions are remembered by what rules can see: never another answer than Cedar would give anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.policy.context import Party, SendContext
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
from schemas.envelope import HeaderMarking
from tests.unit.policy.examples import AT, LY_MAIN, ORDINARY, TN_MAIN, marked

STRANGE = [
    "true",
    "principal.member == resource.member",
    'principal.member != "tn"',
    "principal == resource",
    'resource == Desk::"ly/main"',
    'principal in Desk::"tn/main"',
    "context.marking.release_to.contains(resource.member)",
    "context.marking.release_to.contains(principal.member)",
    'context.marking.release_to == ["ly"]',
    'resource.groups == ["exercise", "tripoli"]',
    "principal.groups.containsAll(resource.groups)",
    '[Topic::"arms", Topic::"drugs"].containsAll(context.topics)',
    'context.topics.contains(Topic::"arms")',
    "context.topics.isEmpty()",
    "context.marking.tlp_rank > resource.ceiling.tlp_rank",
    "principal.ceiling == resource.ceiling",
    "context.marking.tlp_rank + 9223372036854775804 > 0",
    '(if context.personal_data then principal.member else resource.member) == "ly"',
    "principal.functions.containsAny(resource.functions)",
]

GROUPS = ("exercise", "five_plus_five", "tripoli")


def _subset(words: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.sets(st.sampled_from(words)).map(lambda found: tuple(sorted(found)))


PARTIES = st.builds(
    Party,
    desk=st.sampled_from(("tn/main", "tn/customs", "ly/main", "ne/main", "auc/observer")),
    kind=st.sampled_from(("state", "organisation")),
    functions=_subset(tuple(DeskFunction)[:4]).map(lambda f: tuple(DeskFunction(w) for w in f)),
    tlp_ceiling=st.sampled_from(Tlp),
    classification_ceiling=st.sampled_from(Classification),
    groups=_subset(GROUPS),
    channels=_subset(("line",)),
    operations=_subset(("joint",)),
)


@st.composite
def contents(draw: st.DrawFn) -> SendContext:
    """Anything that may be sent."""
    released = draw(_subset(("ly", "ne", "tn")))
    caveats = tuple(sorted({*((Caveat.RELEASE_TO,) if released else ()), Caveat.ORCON}))
    return SendContext(
        status=draw(st.sampled_from(Status)),
        kind=draw(st.sampled_from(Kind)),
        topics=tuple(sorted(draw(st.sets(st.sampled_from(Topic), max_size=3)))),
        purpose=draw(st.sampled_from(Purpose)),
        precedence=draw(st.sampled_from(Precedence)),
        personal_data=draw(st.booleans()),
        marking=HeaderMarking(
            tlp=draw(st.sampled_from(Tlp)),
            classification=draw(st.sampled_from(Classification)),
            caveats=caveats,
            release_to=released or None,
        ),
        at=AT,
    )


QUESTIONS = st.lists(st.tuples(PARTIES, PARTIES, contents()), min_size=1, max_size=12)


def _rules(conditions: list[tuple[str, str]]) -> str:
    return "\n".join(
        f'@id("r{number}") {effect} (principal, action, resource) when {{ {condition} }};'
        for number, (effect, condition) in enumerate(conditions)
    )


CONDITIONS = st.lists(
    st.tuples(st.sampled_from(("permit", "forbid")), st.sampled_from(STRANGE)),
    min_size=1,
    max_size=4,
)


def _agree(policy_text: str, questions: list[tuple[Party, Party, SendContext]]) -> None:
    """What is remembered is what rules that remember nothing answer."""
    schema_text = default_texts()[1]
    remembering = AccessRules.load(policy_text, schema_text)
    for sender, recipient, what in questions:
        fresh = AccessRules.load(policy_text, schema_text)
        expected = fresh.decide(sender, recipient, what)
        assert remembering.decide(sender, recipient, what) == expected


@settings(max_examples=25, deadline=None)
@given(questions=QUESTIONS)
def test_the_shipped_rules_answer_as_if_asked_anew(
    questions: list[tuple[Party, Party, SendContext]],
) -> None:
    """Whatever desks and contents come, in whatever order."""
    _agree(default_texts()[0], questions)


@settings(max_examples=60, deadline=None)
@given(conditions=CONDITIONS, questions=QUESTIONS)
def test_strange_rules_answer_as_if_asked_anew(
    conditions: list[tuple[str, str]], questions: list[tuple[Party, Party, SendContext]]
) -> None:
    """Rules that compare members, desks, whole sets, or err, are seen through as well."""
    _agree(_rules(conditions), questions)


@pytest.mark.parametrize("condition", STRANGE)
def test_each_strange_condition_is_valid(
    condition: str, load: Callable[[str], AccessRules]
) -> None:
    """None of them is refused by strict validation, so that all of them are tried."""
    assert load(_rules([("permit", condition)])).ids == ("r0",)


def test_desks_that_no_rule_tells_apart_are_asked_about_once(shipped: AccessRules) -> None:
    """Thirty states alike cost one decision, with and without a list of members."""
    alike = tuple(replace(LY_MAIN, desk=f"x{number}/main") for number in range(30))
    shipped.decide_each(TN_MAIN, alike, ORDINARY)
    assert len(shipped._known) == 1
    listed = marked(caveats=(Caveat.RELEASE_TO,), release_to=("x7",))
    decisions = shipped.decide_each(TN_MAIN, alike, listed)
    assert [each.allowed for each in decisions] == [number == 7 for number in range(30)]
    assert len(shipped._known) == 3
