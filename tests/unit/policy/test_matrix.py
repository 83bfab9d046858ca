"""Asking each rule once about all desks that look alike to it gives what deciding every pair would give."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.policy import matrix as matrix_module
from broker.policy.context import Party, SendContext, cedar_context
from broker.policy.matrix import Answers, make_matrix
from broker.policy.rules import AccessRules, Decision, default_texts
from schemas.bulletin.vocabularies import Caveat, Purpose, Tlp
from schemas.errors import ConfigurationError
from tests.unit.policy.examples import ORDINARY, PARTIES, TN_MAIN, marked

ALL = "(principal, action, resource)"
SCHEMA = default_texts()[1]

CONDITIONS = (
    "true",
    "false",
    "principal == resource",
    'principal == Desk::"tn/main"',
    '[Desk::"tn/main", Desk::"ly/main"].contains(resource)',
    "principal.member == resource.member",
    "principal.member != resource.member",
    'resource.member == "ly"',
    'resource.member like "t*"',
    "principal.functions == resource.functions",
    'resource.functions == [Function::"auditor"]',
    'principal.functions.contains(Function::"main")',
    'resource.functions.containsAny([Function::"judicial", Function::"observer"])',
    'resource.functions.containsAll([Function::"auditor", Function::"main"])',
    '[Function::"main", Function::"judicial"].containsAll(resource.functions)',
    "resource.functions.isEmpty()",
    "principal.channels.containsAny(resource.channels)",
    'principal.groups.contains("tripoli") || resource.kind == MemberKind::"organisation"',
    "context.marking.tlp_rank > resource.ceiling.tlp_rank",
    "context.marking.tlp_rank < 3",
    "2 <= resource.ceiling.tlp_rank",
    "principal in resource",
    "resource has member && principal is Desk",
    "resource.ceiling == principal.ceiling",
    "context.marking.release_to.contains(resource.member)",
    'context.purpose == Purpose::"analysis" && principal.kind == resource.kind',
    "if context.personal_data then principal == resource else resource.functions.isEmpty()",
    'context.at < datetime("2027-01-01")',
    "context.marking.tlp_rank + 9223372036854775807 > 0",
    "resource.ceiling.tlp_rank + 9223372036854775804 < 0",
)
SCOPES = (
    ALL,
    '(principal == Desk::"tn/main", action, resource)',
    '(principal, action == Action::"send", resource in Desk::"ly/main")',
    '(principal is Desk, action, resource is Desk in Desk::"td/main")',
)

MATTERS: tuple[SendContext, ...] = (
    ORDINARY,
    replace(ORDINARY, personal_data=True),
    replace(ORDINARY, purpose=Purpose.ANALYSIS),
    replace(ORDINARY, at=datetime(2027, 6, 1, tzinfo=UTC)),
    marked(Tlp.RED),
    marked(Tlp.CLEAR),
    marked(caveats=(Caveat.RELEASE_TO,), release_to=("ly", "td")),
)

DESKS: tuple[Party, ...] = (
    *PARTIES.values(),
    replace(TN_MAIN, desk="xa/main", channels=("a-b",)),
    replace(TN_MAIN, desk="xb/main", channels=("a-b", "b-c")),
    replace(TN_MAIN, desk="xc/main", channels=("b-c",)),
)

FEW: tuple[Party, ...] = tuple(
    each
    for each in DESKS
    if each.desk
    in {
        "tn/main",
        "tn/idle",
        "ly/main",
        "ly/both",
        "ly/audit",
        "td/main",
        "auc/observer",
        "xa/main",
        "xb/main",
    }
)
"""One of each sort: every pair is asked about for every condition."""

_POLICIES = st.lists(
    st.tuples(
        st.sampled_from(["permit", "forbid"]),
        st.sampled_from(SCOPES),
        st.sampled_from(CONDITIONS),
        st.sampled_from(["when", "unless"]),
    ),
    max_size=5,
)


def _check(rules: AccessRules, desks: tuple[Party, ...], answers: Answers | None = None) -> None:
    """Matrix and memory say of every pair and content what Cedar says of it, asked without either."""
    matrix = make_matrix(rules.loaded, desks, MATTERS, answers)
    for s, sender in enumerate(desks):
        for number, matter in enumerate(MATTERS):
            expected = rules._ask(sender, desks, cedar_context(matter))
            told = [bool(matrix.allowed(s, r) >> number & 1) for r in range(len(desks))]
            assert told == [decision.allowed for decision in expected]
            assert list(rules.decide_each(sender, desks, matter)) == expected


@settings(deadline=None, max_examples=15)
@given(policies=_POLICIES)
def test_a_matrix_answers_as_the_rules_do(policies: list[tuple[str, str, str, str]]) -> None:
    """Whatever rules read, no two desks are taken together that any of them tells apart."""
    text = "\n".join(
        f'@id("n{n}") {effect} {scope} {clause} {{ {condition} }};'
        for n, (effect, scope, condition, clause) in enumerate(policies)
    )
    _check(AccessRules.load(text, SCHEMA), FEW)


def test_each_condition_alone() -> None:
    """Each condition and each scope is seen for what it is, with no other rule to hide it."""
    for n, condition in enumerate(CONDITIONS):
        scope = SCOPES[n % len(SCOPES)]
        for where, effect in ((ALL, "permit"), (scope, "forbid")):
            text = f'@id("go") permit {ALL}; @id("n") {effect} {where} when {{ {condition} }};'
            text = text if effect == "forbid" else text.partition("; ")[2]
            _check(AccessRules.load(text, SCHEMA), FEW)


def test_the_shipped_rules_answer_so() -> None:
    """The rules that are shipped, too."""
    _check(AccessRules.load(*default_texts()), DESKS)


def test_answers_serve_another_council() -> None:
    """What was answered is used again only for the same rule, where it sees no difference."""
    answers: Answers = {}
    rules = AccessRules.load(*default_texts())
    _check(rules, DESKS[:6], answers)
    other = tuple(replace(desk, groups=("tripoli",), tlp_ceiling=Tlp.GREEN) for desk in DESKS)
    _check(rules, other, answers)
    for clause in ("when", "unless"):
        text = f'@id("a") permit {ALL} {clause} {{ resource.functions.isEmpty() }};'
        _check(AccessRules.load(text, SCHEMA), DESKS, answers)


def test_a_desk_that_the_schema_does_not_describe_gets_and_sends_nothing() -> None:
    """A function that the council's schema does not know stops its desk, and no other."""
    older = SCHEMA.replace('"customs", "police"', '"police"')
    _check(AccessRules.load(f'@id("go") permit {ALL};', older), DESKS)
    only = (PARTIES["ly/customs"],)
    matrix = make_matrix(
        AccessRules.load(f'@id("go") permit {ALL};', older).loaded, only, [ORDINARY]
    )
    assert matrix.allowed(0, 0) == 0
    assert matrix.policies(0, 0, 1, allowed=False) == {"evaluation-error"}


def test_policies_are_those_of_the_decision() -> None:
    """For one content, the rules named are those that the decision names."""
    rules = AccessRules.load(*default_texts())
    matrix = make_matrix(rules.loaded, DESKS, MATTERS)
    for s, sender in enumerate(DESKS):
        for r, recipient in enumerate(DESKS):
            decision = rules.decide(sender, recipient, ORDINARY)
            named = matrix.policies(s, r, 1, allowed=decision.allowed)
            assert Decision(decision.allowed, tuple(sorted(named))) == decision


def test_no_rules_allow_nothing() -> None:
    """An empty rule set gives a matrix of refusals."""
    _check(AccessRules.load("", SCHEMA), DESKS[:4])


def test_too_many_questions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that compares desks one by one is refused by name, not worked on for an hour."""
    monkeypatch.setattr(matrix_module, "QUESTIONS_MAX", 100)
    rules = AccessRules.load(f'@id("pairs") permit {ALL} when {{ principal == resource }};', SCHEMA)
    with pytest.raises(ConfigurationError, match="the rule pairs compares desks one by one"):
        make_matrix(rules.loaded, DESKS, MATTERS)
