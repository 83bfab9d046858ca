"""The bulletin: what members say to each other, sealed, and what it is made of.

May import pydantic and `schemas`; nodes write and read bulletins, the hub never sees one.
A new kind is one module, and one line in `KINDS`.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict

from schemas.bulletin.common import Bulletin
from schemas.bulletin.cooperation_notice import CooperationNotice
from schemas.bulletin.incident_report import IncidentReport
from schemas.bulletin.information_reply import InformationReply
from schemas.bulletin.information_request import InformationRequest
from schemas.bulletin.judicial_request import JudicialRequest
from schemas.bulletin.risk_assessment import RiskAssessment
from schemas.bulletin.situation_report import SituationReport
from schemas.bulletin.threat_bulletin import ThreatBulletin
from schemas.bulletin.vocabularies import Kind
from schemas.bulletin.withdrawal import Withdrawal
from schemas.limits import BULLETIN_BYTES_MAX
from schemas.loader import parse

KINDS: Final[dict[Kind, type[Bulletin]]] = {
    Kind.THREAT_BULLETIN: ThreatBulletin,
    Kind.RISK_ASSESSMENT: RiskAssessment,
    Kind.INCIDENT_REPORT: IncidentReport,
    Kind.JUDICIAL_REQUEST: JudicialRequest,
    Kind.SITUATION_REPORT: SituationReport,
    Kind.INFORMATION_REQUEST: InformationRequest,
    Kind.INFORMATION_REPLY: InformationReply,
    Kind.COOPERATION_NOTICE: CooperationNotice,
    Kind.WITHDRAWAL: Withdrawal,
}
"""Kind → model: the one table of kinds."""

FLOATS_UNDER: Final = frozenset({"coordinates"})
"""GeoJSON's member is the only one whose numbers may have decimals (the protocol, "Conventions")."""

__all__ = [
    "FLOATS_UNDER",
    "KINDS",
    "Bulletin",
    "CooperationNotice",
    "IncidentReport",
    "InformationReply",
    "InformationRequest",
    "JudicialRequest",
    "Kind",
    "RiskAssessment",
    "SituationReport",
    "ThreatBulletin",
    "Withdrawal",
    "parse_bulletin",
]


class _Kind(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    kind: Kind


def parse_bulletin(data: bytes) -> Bulletin:
    """Read the exact bytes of a bulletin into the model of its kind.

    Args:
        data: JSON, at most 256 KiB.

    Raises:
        ParseError: each broken rule with its JSON path, rule and value.
    """
    # The kind is read first, so that the errors are those of one kind and not of every one.
    kind = parse(_Kind, data, BULLETIN_BYTES_MAX, floats_under=FLOATS_UNDER).kind
    return parse(KINDS[kind], data, BULLETIN_BYTES_MAX, floats_under=FLOATS_UNDER)
