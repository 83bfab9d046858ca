"""Desks and contents that the tests of the access rules ask about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from broker.policy.context import Party, SendContext
from broker.policy.rulebook import Rulebook
from broker.policy.rules import default_cases, default_texts
from broker.policy.table import CaseTable
from keys.default_council import default_council
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
from schemas.directory import HubAddress, LogKeys, Logs
from schemas.envelope import HeaderMarking


def _state(
    desk: str,
    *functions: DeskFunction,
    tlp: Tlp = Tlp.RED,
    classification: Classification = Classification.SECRET,
) -> Party:
    return Party(desk, "state", functions, tlp, classification, groups=("exercise", "tripoli"))


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

AT: Final = ORDINARY.at


def _log(name: str) -> LogKeys:
    return LogKeys(origin=f"none/{name}", ed25519=bytes(32), ml_dsa_44=bytes(1312))


NOWHERE: Final = HubAddress(authority="hub.invalid", url="https://hub.invalid", tls_trust="-")
LOGS: Final = Logs(generation=1, directory=_log("directory"), exchange=_log("exchange"))


def shipped_book() -> Rulebook:
    """What an exchange starts with."""
    return Rulebook(default_council("shipped", NOWHERE, LOGS), *default_texts(), default_cases())


def shipped_table() -> CaseTable:
    """The table that governors read."""
    return shipped_book().table(AT)
