"""Deny by default, forbid wins, and whatever cannot be evaluated is denied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.policy import rules as rules_module
from broker.policy.context import Party, SendContext, party_of
from broker.policy.rules import AccessRules, Decision, decide_all, default_texts
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
from schemas.directory import Group
from schemas.envelope import Header, HeaderMarking
from schemas.errors import Problem, VerificationError
from tests.unit.policy.examples import (
    AUC_OBSERVER,
    LY_CUSTOMS,
    LY_MAIN,
    ORDINARY,
    PARTIES,
    TD_MAIN,
    TN_MAIN,
    marked,
    shipped_book,
    shipped_table,
)

CASES = shipped_table().cases

Load = Callable[[str], AccessRules]

ALL = "(principal, action, resource)"
OVERFLOW = "context.marking.tlp_rank + 9223372036854775807 > 0"
"""Errs for every TLP above clear: strict validation cannot know."""

UNDECIDED = Decision(allowed=False, policies=("evaluation-error",))


def test_nothing_is_allowed_without_policies(load: Load) -> None:
    """An empty rule set denies everything."""
    rules = load("")
    answers = {rules.decide(case.sender, case.recipient, case.context) for case in CASES}
    assert answers == {Decision(allowed=False, policies=("no-permit",))}


def test_forbid_alone_is_named(load: Load) -> None:
    """A forbid is named although nothing permits."""
    rules = load(f'@id("stop") forbid {ALL};')
    assert rules.decide(TN_MAIN, LY_MAIN, ORDINARY) == Decision(allowed=False, policies=("stop",))


def test_forbid_that_errs_denies(load: Load) -> None:
    """A forbid whose condition overflows denies, though Cedar skips it and the permit stands."""
    rules = load(f'@id("go") permit {ALL}; @id("stop") forbid {ALL} when {{ {OVERFLOW} }};')
    assert rules.decide(TN_MAIN, LY_MAIN, ORDINARY) == UNDECIDED


def test_permit_that_errs_denies(load: Load) -> None:
    """A permit whose condition overflows denies, though another permit stands."""
    rules = load(f'@id("go") permit {ALL}; @id("more") permit {ALL} when {{ {OVERFLOW} }};')
    assert rules.decide(TN_MAIN, LY_MAIN, ORDINARY) == UNDECIDED


def test_error_is_of_the_recipient_alone(load: Load) -> None:
    """An error denies the recipient for whom it happened, and no other."""
    rules = load(
        f'@id("go") permit {ALL}; @id("stop") forbid {ALL} when '
        "{ resource.ceiling.tlp_rank + 9223372036854775804 < 0 };"
    )
    decisions = rules.decide_each(TN_MAIN, (TD_MAIN, LY_MAIN), ORDINARY)
    assert decisions == (Decision(allowed=True, policies=("go",)), UNDECIDED)


def test_names_beyond_ten_policies(load: Load) -> None:
    """Cedar's positional names (policy2, policy10) map to the right @ids."""
    rules = load(
        "".join(
            f'@id("only-{c.value}-{n}") permit {ALL} when {{ context.marking.tlp == Tlp::"{c}" }};'
            for n in range(4)
            for c in (Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER, Tlp.RED)
        )
    )
    expected = tuple(f"only-green-{n}" for n in range(4))
    assert rules.decide(TN_MAIN, LY_MAIN, marked(Tlp.GREEN)) == Decision(True, expected)


def test_word_outside_the_schema_denies() -> None:
    """A desk with a function that the council's schema does not know is denied, and it alone."""
    policy_text, schema_text = default_texts()
    older = schema_text.replace('"customs", "police"', '"police"')
    newer = policy_text.replace('Function::"customs", ', "")
    rules = AccessRules.load(newer, older)
    decisions = rules.decide_each(TN_MAIN, (LY_CUSTOMS, LY_MAIN), ORDINARY)
    assert decisions == (UNDECIDED, Decision(allowed=True, policies=("standing-mechanism",)))


def test_kind_outside_the_schema_denies() -> None:
    """A kind of bulletin that the council's schema does not know is denied to everyone."""
    _, schema_text = default_texts()
    older = schema_text.replace('"judicial_request", ', "")
    assert older != schema_text
    rules = AccessRules.load(f'@id("go") permit {ALL};', older)
    what = replace(ORDINARY, kind=Kind.JUDICIAL_REQUEST)
    assert rules.decide_each(TN_MAIN, (LY_MAIN, TD_MAIN), what) == (UNDECIDED, UNDECIDED)


def test_two_accounts_of_one_desk_deny(load: Load) -> None:
    """A sender and a recipient with one id but different grants are not decided."""
    rules = load(f'@id("go") permit {ALL};')
    assert rules.decide(TN_MAIN, replace(TN_MAIN, functions=()), ORDINARY) == UNDECIDED


def test_decisions_do_not_depend_on_company(shipped: AccessRules) -> None:
    """Asked together, in another order, or alone, a recipient gets the same answer."""
    together = shipped.decide_each(TN_MAIN, tuple(PARTIES.values()), ORDINARY)
    fresh = AccessRules.load(*default_texts())
    alone = [fresh.decide(TN_MAIN, party, ORDINARY) for party in reversed(PARTIES.values())]
    assert list(together) == alone[::-1]


def test_same_recipient_twice(shipped: AccessRules) -> None:
    """Answers come in the order asked, once for each that was asked for."""
    yes = Decision(allowed=True, policies=("standing-mechanism",))
    no = Decision(allowed=False, policies=("no-function-no-bulletin",))
    recipients = (LY_MAIN, PARTIES["tn/idle"], LY_MAIN)
    assert shipped.decide_each(TN_MAIN, recipients, ORDINARY) == (yes, no, yes)
    assert shipped.decide_each(TN_MAIN, (), ORDINARY) == ()


def test_rules_may_read_the_time(load: Load) -> None:
    """A rule with a date changes its answer at that second, whatever was remembered."""
    rules = load(
        f'@id("until") permit {ALL} when {{ context.at < datetime("2027-01-01T00:00:00Z") }};'
    )
    last = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    moments = [last, last + timedelta(seconds=1), last]
    answers = [rules.decide(TN_MAIN, LY_MAIN, replace(ORDINARY, at=at)).allowed for at in moments]
    assert answers == [True, False, True]


def test_an_operation_ends_whatever_was_remembered(shipped: AccessRules) -> None:
    """At the second in which a joint operation ends its rule stops permitting, asked in any order."""
    ends = datetime(2026, 12, 31, 12, tzinfo=UTC)
    council = shipped_book().council
    joint = Group(
        names=council.groups["tripoli"].names,
        kind="operation",
        members=("ly", "tn"),
        until=ends,
    )
    council = council.model_copy(update={"groups": {"dune": joint}})
    what = replace(ORDINARY, purpose=Purpose.BORDER_OPERATION)

    def ask(at: datetime) -> Decision:
        sender, recipient = party_of(council, "tn/main", at), party_of(council, "ly/main", at)
        assert sender is not None
        assert recipient is not None
        return shipped.decide(sender, recipient, replace(what, at=at))

    last = ends - timedelta(seconds=1)
    holds, ended = Decision(True, ("joint-operations",)), Decision(False, ("no-permit",))
    assert [ask(at) for at in (last, ends, last, ends)] == [holds, ended, holds, ended]


def test_remembered_decisions_are_the_same(
    shipped: AccessRules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small memory is emptied when full, and answers stay right whether new or remembered."""
    monkeypatch.setattr(rules_module, "DECISIONS_KEPT_MAX", 5)
    for case in (*CASES, *reversed(CASES), *CASES):
        recipients = (case.recipient, LY_MAIN, TD_MAIN)
        assert case.holds(shipped.decide_each(case.sender, recipients, case.context)[0])
        assert len(shipped._known) <= 5


@pytest.mark.parametrize(
    "changed",
    [
        replace(LY_MAIN, functions=(DeskFunction.AUDITOR,)),
        replace(LY_MAIN, functions=()),
        replace(LY_MAIN, tlp_ceiling=Tlp.CLEAR),
        replace(LY_MAIN, kind="organisation", functions=()),
    ],
)
def test_a_changed_grant_is_seen(changed: Party, shipped: AccessRules) -> None:
    """A desk whose grant changed is decided anew, though it kept its id."""
    assert shipped.decide(TN_MAIN, LY_MAIN, ORDINARY).allowed
    assert not shipped.decide(TN_MAIN, changed, ORDINARY).allowed


def test_decide_all(shipped: AccessRules, header_to: Callable[..., Header]) -> None:
    """Every recipient of a header gets its own decision, in the header's order."""
    header = header_to("auc/observer", "ly/audit", "ly/main")
    decisions = decide_all(shipped, PARTIES.get, header, ORDINARY.at)
    assert list(decisions.items()) == [
        ("auc/observer", Decision(allowed=True, policies=("states-to-observers",))),
        ("ly/audit", Decision(allowed=False, policies=("auditors-receive-no-bulletins",))),
        ("ly/main", Decision(allowed=True, policies=("standing-mechanism",))),
    ]


def test_unknown_recipient(shipped: AccessRules, header_to: Callable[..., Header]) -> None:
    """A recipient that the directory does not have is a problem of its own, and named."""
    with pytest.raises(Problem, match="zz/main") as problem:
        decide_all(shipped, PARTIES.get, header_to("ly/main", "zz/main"), ORDINARY.at)
    assert problem.value.word == "unknown-recipient"


def test_unknown_sender(shipped: AccessRules, header_to: Callable[..., Header]) -> None:
    """An envelope of a desk that the directory does not have is decided for nobody."""
    known = {desk: party for desk, party in PARTIES.items() if desk != "tn/main"}
    with pytest.raises(VerificationError, match="tn/main"):
        decide_all(shipped, known.get, header_to("ly/main"), ORDINARY.at)


# What Cedar should answer, computed without Cedar: (condition, whether it holds; None if it errs).
_Condition = tuple[str, Callable[[Party, Party, SendContext], bool | None]]
_CONDITIONS: list[_Condition] = [
    ("true", lambda _p, _r, _c: True),
    ("false", lambda _p, _r, _c: False),
    ("context.personal_data", lambda _p, _r, c: c.personal_data),
    (
        "context.marking.tlp_rank > resource.ceiling.tlp_rank",
        lambda _p, r, c: c.marking.tlp.rank > r.tlp_ceiling.rank,
    ),
    (
        "context.marking.classification_rank <= resource.ceiling.classification_rank",
        lambda _p, r, c: c.marking.classification.rank <= r.classification_ceiling.rank,
    ),
    ("principal.member == resource.member", lambda p, r, _c: p.member == r.member),
    ('resource == Desk::"ly/main"', lambda _p, r, _c: r.desk == "ly/main"),
    ('principal.kind == MemberKind::"state"', lambda p, _r, _c: p.kind == "state"),
    (
        'resource.functions.contains(Function::"judicial")',
        lambda _p, r, _c: DeskFunction.JUDICIAL in r.functions,
    ),
    ('principal.groups.contains("sahel")', lambda p, _r, _c: "sahel" in p.groups),
    ('context.topics.contains(Topic::"drugs")', lambda _p, _r, c: Topic.DRUGS in c.topics),
    (
        "context.marking.release_to.contains(resource.member)",
        lambda _p, r, c: r.member in (c.marking.release_to or ()),
    ),
    (
        'context.marking.caveats.contains(Caveat::"orcon")',
        lambda _p, _r, c: Caveat.ORCON in c.marking.caveats,
    ),
    (
        'context.at < datetime("2027-01-01")',
        lambda _p, _r, c: c.at < datetime(2027, 1, 1, tzinfo=UTC),
    ),
    (OVERFLOW, lambda _p, _r, c: None if c.marking.tlp.rank else True),
]


@st.composite
def _contexts(draw: st.DrawFn) -> SendContext:
    caveats = draw(st.frozensets(st.sampled_from(Caveat)))
    members = st.frozensets(st.sampled_from(["auc", "eg", "ly", "td", "tn"]), min_size=1)
    release_to = tuple(sorted(draw(members))) if Caveat.RELEASE_TO in caveats else None
    return SendContext(
        status=draw(st.sampled_from(Status)),
        kind=draw(st.sampled_from(Kind)),
        topics=tuple(sorted(draw(st.frozensets(st.sampled_from(Topic), min_size=1)))),
        purpose=draw(st.sampled_from(Purpose)),
        precedence=draw(st.sampled_from(Precedence)),
        personal_data=draw(st.booleans()),
        marking=HeaderMarking(
            tlp=draw(st.sampled_from(Tlp)),
            classification=draw(st.sampled_from(Classification)),
            caveats=tuple(sorted(caveats)),
            release_to=release_to,
        ),
        at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=draw(st.integers(0, 800))),
    )


_PARTIES = st.sampled_from(list(PARTIES.values()))
_POLICIES = st.lists(
    st.tuples(st.sampled_from(["permit", "forbid"]), st.sampled_from(_CONDITIONS)), max_size=14
)


@settings(deadline=None, max_examples=60)
@given(policies=_POLICIES, sender=_PARTIES, recipient=_PARTIES, what=_contexts())
def test_answers_are_as_computed(
    policies: list[tuple[str, _Condition]], sender: Party, recipient: Party, what: SendContext
) -> None:
    """Errors deny before all, then a forbid wins, then a permit is needed: as computed by hand."""
    text = "".join(
        f'@id("n{n}") {effect} {ALL} when {{ {condition} }};\n'
        for n, (effect, (condition, _)) in enumerate(policies)
    )
    rules = AccessRules.load(text, default_texts()[1])
    held = {
        f"n{n}": (effect, holds(sender, recipient, what))
        for n, (effect, (_, holds)) in enumerate(policies)
    }
    forbids = tuple(sorted(n for n, (effect, yes) in held.items() if yes and effect == "forbid"))
    permits = tuple(sorted(n for n, (effect, yes) in held.items() if yes and effect == "permit"))
    if any(yes is None for _, yes in held.values()):
        expected = UNDECIDED
    elif forbids:
        expected = Decision(allowed=False, policies=forbids)
    else:
        expected = Decision(allowed=bool(permits), policies=permits or ("no-permit",))
    assert rules.decide(sender, recipient, what) == expected


_SHIPPED = AccessRules.load(*default_texts())


@settings(deadline=None, max_examples=150)
@given(sender=_PARTIES, what=_contexts())
def test_shipped_rules_never_err(sender: Party, what: SendContext) -> None:
    """Whatever is sent to whomever, the shipped rules answer without an error, and never raise."""
    decisions = _SHIPPED.decide_each(sender, tuple(PARTIES.values()), what)
    named = {name for decision in decisions for name in decision.policies}
    assert named <= {*_SHIPPED.ids, "no-permit"}


@settings(deadline=None, max_examples=150)
@given(sender=_PARTIES, what=_contexts())
def test_organisations_see_little(sender: Party, what: SendContext) -> None:
    """No organisation ever receives personal data, or anything above green."""
    if _SHIPPED.decide(sender, AUC_OBSERVER, what).allowed:
        assert not what.personal_data
        assert what.marking.tlp in {Tlp.CLEAR, Tlp.GREEN}


_STRANGE = st.builds(
    Party,
    desk=st.text(),
    kind=st.sampled_from(["state", "organisation"]),
    functions=st.lists(st.sampled_from(DeskFunction), unique=True).map(tuple),
    tlp_ceiling=st.sampled_from(Tlp),
    classification_ceiling=st.sampled_from(Classification),
    groups=st.lists(st.text(), max_size=3).map(tuple),
)


@settings(deadline=None, max_examples=100)
@given(sender=_STRANGE, recipients=st.lists(_STRANGE, max_size=4), what=_contexts())
def test_deciding_never_raises(sender: Party, recipients: list[Party], what: SendContext) -> None:
    """Ids and groups of any text, quotes and controls included, are decided without raising."""
    decisions = _SHIPPED.decide_each(sender, recipients, what)
    assert len(decisions) == len(recipients)


@pytest.mark.parametrize("desk", ["a\ud800", 'tn/x"', "tn/\n", "", "\x00"])
def test_strange_ids(desk: str) -> None:
    """A desk id that no directory has, even one that is no Unicode, gets an answer."""
    odd = replace(LY_MAIN, desk=desk)
    assert isinstance(_SHIPPED.decide(TN_MAIN, odd, ORDINARY), Decision)
    assert isinstance(_SHIPPED.decide(odd, TN_MAIN, ORDINARY), Decision)
