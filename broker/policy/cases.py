"""What the shipped rules decide, by example: who sends what to whom, the answer, and why.

May import `schemas` and its own room. A council reads it beside `default.cedar`; the tests run it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from broker.policy.context import Party, SendContext
from broker.policy.loading import NO_PERMIT
from broker.policy.rules import Decision
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


@dataclass(frozen=True, slots=True)
class Case:
    """One example: `why` is the sentence that a lawyer agrees or disagrees with."""

    why: str
    sender: Party
    recipient: Party
    what: SendContext
    expected: Decision


def _state(
    desk: str,
    *functions: DeskFunction,
    tlp: Tlp = Tlp.RED,
    classification: Classification = Classification.SECRET,
) -> Party:
    return Party(desk, "state", functions, tlp, classification, groups=("sahel",))


def _organisation(desk: str, *functions: DeskFunction) -> Party:
    return Party(desk, "organisation", functions, Tlp.RED, Classification.SECRET)


ORDINARY: Final = SendContext(
    status=Status.ACTUAL,
    kind=Kind.THREAT_BULLETIN,
    topics=(Topic.ARMS, Topic.SMUGGLING),
    purpose=Purpose.BORDER_MONITORING,
    precedence=Precedence.ROUTINE,
    personal_data=False,
    marking=HeaderMarking(tlp=Tlp.GREEN, classification=Classification.UNCLASSIFIED, caveats=()),
    at=datetime(2026, 11, 24, 22, tzinfo=UTC),
)
"""A threat bulletin, TLP:GREEN and unclassified."""


def marked(
    tlp: Tlp = Tlp.GREEN,
    classification: Classification = Classification.UNCLASSIFIED,
    caveats: tuple[Caveat, ...] = (),
    release_to: tuple[str, ...] | None = None,
) -> SendContext:
    """The ordinary bulletin with another marking."""
    marking = HeaderMarking(
        tlp=tlp, classification=classification, caveats=caveats, release_to=release_to
    )
    return replace(ORDINARY, marking=marking)


TN_MAIN: Final = _state("tn/main", DeskFunction.MAIN)
TN_JUDICIAL: Final = _state("tn/judicial", DeskFunction.JUDICIAL)
TN_AUDIT: Final = _state("tn/audit", DeskFunction.AUDITOR)
TN_IDLE: Final = _state("tn/idle")
LY_MAIN: Final = _state("ly/main", DeskFunction.MAIN)
LY_CUSTOMS: Final = _state("ly/customs", DeskFunction.CUSTOMS)
LY_JUDICIAL: Final = _state("ly/judicial", DeskFunction.JUDICIAL)
LY_AUDIT: Final = _state("ly/audit", DeskFunction.AUDITOR)
LY_BOTH: Final = _state("ly/both", DeskFunction.AUDITOR, DeskFunction.MAIN)
TD_MAIN: Final = _state(
    "td/main", DeskFunction.MAIN, tlp=Tlp.AMBER, classification=Classification.RESTRICTED
)
EG_OBSERVER: Final = _state("eg/observer", DeskFunction.OBSERVER)
AUC_OBSERVER: Final = _organisation("auc/observer", DeskFunction.OBSERVER)
AUC_EXPERTS: Final = _organisation("auc/experts", DeskFunction.EXPERT_COMMITTEE)
AUC_IDLE: Final = _organisation("auc/idle")

PARTIES: Final[dict[str, Party]] = {
    party.desk: party
    for party in (
        TN_MAIN,
        TN_JUDICIAL,
        TN_AUDIT,
        TN_IDLE,
        LY_MAIN,
        LY_CUSTOMS,
        LY_JUDICIAL,
        LY_AUDIT,
        LY_BOTH,
        TD_MAIN,
        EG_OBSERVER,
        AUC_OBSERVER,
        AUC_EXPERTS,
        AUC_IDLE,
    )
}
"""The desks of the examples, by id."""

_JUDICIAL_REQUEST: Final = replace(
    marked(Tlp.AMBER_STRICT),
    kind=Kind.JUDICIAL_REQUEST,
    purpose=Purpose.JUDICIAL_COOPERATION,
    personal_data=True,
)
_JUDICIAL_ONLY: Final = marked(caveats=(Caveat.JUDICIAL_ONLY,))


def _permitted(*policies: str) -> Decision:
    return Decision(allowed=True, policies=policies)


def _refused(*policies: str) -> Decision:
    return Decision(allowed=False, policies=policies)


_BETWEEN_STATES: Final = _permitted("states-to-states")
_TO_OBSERVERS: Final = _permitted("states-to-observers")


def _to_td(why: str, what: SendContext, expected: Decision) -> Case:
    return Case(why, LY_MAIN, TD_MAIN, what, expected)


def _to_organisation(why: str, what: SendContext, expected: Decision) -> Case:
    return Case(why, LY_MAIN, AUC_OBSERVER, what, expected)


def _released_to(why: str, members: tuple[str, ...], expected: Decision) -> Case:
    what = marked(caveats=(Caveat.RELEASE_TO,), release_to=members)
    return Case(why, LY_MAIN, TD_MAIN, what, expected)


CASES: Final[tuple[Case, ...]] = (
    # Who may write to whom.
    Case("states exchange bulletins", TN_MAIN, LY_MAIN, ORDINARY, _BETWEEN_STATES),
    Case("any working desk of a state takes part", TN_MAIN, LY_CUSTOMS, ORDINARY, _BETWEEN_STATES),
    Case("desks of one state exchange too", LY_MAIN, LY_CUSTOMS, ORDINARY, _BETWEEN_STATES),
    Case("organisations read", TN_MAIN, AUC_OBSERVER, ORDINARY, _TO_OBSERVERS),
    Case("every desk of an organisation observes", TN_MAIN, AUC_EXPERTS, ORDINARY, _TO_OBSERVERS),
    Case("a state may have observers", TN_MAIN, EG_OBSERVER, ORDINARY, _TO_OBSERVERS),
    Case("organisations do not write", AUC_EXPERTS, TN_MAIN, ORDINARY, _refused(NO_PERMIT)),
    Case("observers do not write", EG_OBSERVER, TN_MAIN, ORDINARY, _refused(NO_PERMIT)),
    Case("auditors do not write", TN_AUDIT, LY_MAIN, ORDINARY, _refused(NO_PERMIT)),
    Case("no function, no bulletin sent", TN_IDLE, LY_MAIN, ORDINARY, _refused(NO_PERMIT)),
    Case("no function, no bulletin received", LY_MAIN, TN_IDLE, ORDINARY, _refused(NO_PERMIT)),
    Case("this holds for organisations", LY_MAIN, AUC_IDLE, ORDINARY, _refused(NO_PERMIT)),
    Case(
        "an auditor reads proofs, not bulletins",
        TN_MAIN,
        LY_AUDIT,
        ORDINARY,
        _refused("auditors-receive-no-bulletins"),
    ),
    Case("an auditor with other work gets its mail", TN_MAIN, LY_BOTH, ORDINARY, _BETWEEN_STATES),
    # Exercises and tests.
    Case(
        "exercises as in earnest",
        TN_MAIN,
        LY_MAIN,
        replace(ORDINARY, status=Status.EXERCISE),
        _BETWEEN_STATES,
    ),
    Case(
        "tests as in earnest",
        TN_MAIN,
        LY_MAIN,
        replace(ORDINARY, status=Status.TEST),
        _BETWEEN_STATES,
    ),
    Case(
        "an exercise opens no door",
        TN_MAIN,
        AUC_OBSERVER,
        replace(marked(Tlp.AMBER), status=Status.EXERCISE),
        _refused("observers-clear-and-green-only"),
    ),
    Case(
        "urgency opens no door",
        TN_MAIN,
        AUC_OBSERVER,
        replace(marked(Tlp.AMBER), precedence=Precedence.FLASH),
        _refused("observers-clear-and-green-only"),
    ),
    # Ceilings.
    _to_td("the TLP ceiling itself may be received", marked(Tlp.AMBER), _BETWEEN_STATES),
    _to_td(
        "one step above the TLP ceiling may not",
        marked(Tlp.AMBER_STRICT),
        _refused("tlp-above-recipient-ceiling"),
    ),
    _to_td(
        "the classification ceiling itself may be received",
        marked(classification=Classification.RESTRICTED),
        _BETWEEN_STATES,
    ),
    _to_td(
        "one step above the classification ceiling may not",
        marked(classification=Classification.CONFIDENTIAL),
        _refused("classification-above-recipient-ceiling"),
    ),
    _to_td(
        "all that forbids is named, sorted",
        marked(Tlp.RED, Classification.SECRET),
        _refused("classification-above-recipient-ceiling", "tlp-above-recipient-ceiling"),
    ),
    Case(
        "the sender's ceiling does not matter",
        TD_MAIN,
        LY_MAIN,
        marked(Tlp.RED, Classification.SECRET),
        _BETWEEN_STATES,
    ),
    # Observers.
    _to_organisation("observers read clear", marked(Tlp.CLEAR), _TO_OBSERVERS),
    _to_organisation(
        "observers read no amber", marked(Tlp.AMBER), _refused("observers-clear-and-green-only")
    ),
    _to_organisation(
        "red is for states",
        marked(Tlp.RED),
        _refused("observers-clear-and-green-only", "tlp-red-to-states-only"),
    ),
    _to_organisation(
        "observers read nothing about persons",
        replace(ORDINARY, personal_data=True),
        _refused("observers-no-personal-data"),
    ),
    Case(
        "an observer desk of a state is an observer",
        TN_MAIN,
        EG_OBSERVER,
        replace(marked(Tlp.RED), personal_data=True),
        _refused("observers-clear-and-green-only", "observers-no-personal-data"),
    ),
    Case("states read red", TN_MAIN, LY_MAIN, marked(Tlp.RED), _BETWEEN_STATES),
    # Judicial matters.
    Case("judges ask judges", TN_JUDICIAL, LY_JUDICIAL, _JUDICIAL_REQUEST, _BETWEEN_STATES),
    Case(
        "judges ask judges alone",
        TN_JUDICIAL,
        LY_MAIN,
        _JUDICIAL_REQUEST,
        _refused("judicial-requests-to-judicial-desks-only"),
    ),
    Case(
        "only judges ask judges",
        TN_MAIN,
        LY_JUDICIAL,
        _JUDICIAL_REQUEST,
        _refused("judicial-requests-from-judicial-desks-only"),
    ),
    Case("judges read other bulletins too", TN_MAIN, LY_JUDICIAL, ORDINARY, _BETWEEN_STATES),
    Case("judicial_only among judges", TN_JUDICIAL, LY_JUDICIAL, _JUDICIAL_ONLY, _BETWEEN_STATES),
    Case(
        "judicial_only never leaves the judges",
        TN_JUDICIAL,
        LY_CUSTOMS,
        _JUDICIAL_ONLY,
        _refused("judicial-only-caveat-to-judicial-desks-only"),
    ),
    Case(
        "only judges mark judicial_only",
        TN_MAIN,
        LY_JUDICIAL,
        _JUDICIAL_ONLY,
        _refused("judicial-only-caveat-from-judicial-desks-only"),
    ),
    # Release to listed members, and analysis.
    _released_to("a listed member receives", ("td", "tn"), _BETWEEN_STATES),
    _released_to(
        "a member not listed does not",
        ("eg", "tn"),
        _refused("release-to-listed-members-only"),
    ),
    Case(
        "analysis carries no personal data",
        TN_MAIN,
        LY_MAIN,
        replace(ORDINARY, purpose=Purpose.ANALYSIS, personal_data=True),
        _refused("analysis-without-personal-data"),
    ),
    Case(
        "analysis of patterns is welcome",
        TN_MAIN,
        LY_MAIN,
        replace(ORDINARY, purpose=Purpose.ANALYSIS),
        _BETWEEN_STATES,
    ),
    Case(
        "personal data serves other purposes",
        TN_MAIN,
        LY_MAIN,
        replace(ORDINARY, purpose=Purpose.COUNTER_TERRORISM, personal_data=True),
        _BETWEEN_STATES,
    ),
)
"""The shipped rules by example: every policy decides in at least one of them."""
