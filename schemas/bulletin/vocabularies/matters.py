"""What single kinds of bulletins ask, report and answer, each vocabulary with its source.

May import the standard library only; read through `schemas.bulletin.vocabularies`.
"""

from enum import StrEnum


class RequestType(StrEnum):
    """What a judicial request asks for (the communiqué, and INTERPOL's notices for wanted and missing)."""

    ARREST_WARRANT = "arrest_warrant"
    EXTRADITION = "extradition"
    WANTED = "wanted"
    MISSING = "missing"
    MUTUAL_LEGAL_ASSISTANCE = "mutual_legal_assistance"


class RequestStatus(StrEnum):
    """What has become of a judicial request, as its issuing authority says (ours)."""

    IN_FORCE = "in_force"
    SUSPENDED = "suspended"
    EXECUTED = "executed"
    CANCELLED = "cancelled"


class CasualtyGroup(StrEnum):
    """Whom an incident killed, injured or left missing (ours)."""

    CIVILIANS = "civilians"
    MIGRANTS = "migrants"
    SECURITY_FORCES = "security_forces"
    SUSPECTS = "suspects"
    OTHERS = "others"


class ResponseMeasure(StrEnum):
    """What was done about an incident (ours)."""

    ARREST = "arrest"
    SEIZURE = "seizure"
    PURSUIT = "pursuit"
    SEARCH = "search"
    RESCUE = "rescue"
    MEDICAL_AID = "medical_aid"
    PROTECTION = "protection"
    REFUSAL_OF_ENTRY = "refusal_of_entry"
    HANDOVER = "handover"
    REINFORCEMENT = "reinforcement"
    INVESTIGATION = "investigation"


class CountMeasure(StrEnum):
    """What is counted (indicators of the Frontex Risk Analysis Network; from `arrests` on, ours)."""

    IRREGULAR_CROSSINGS = "irregular_crossings"
    CLANDESTINE_ENTRIES = "clandestine_entries"
    FACILITATORS = "facilitators"
    IRREGULAR_STAYS = "irregular_stays"
    REFUSALS_OF_ENTRY = "refusals_of_entry"
    FALSE_DOCUMENTS = "false_documents"
    RETURNS = "returns"
    ARRESTS = "arrests"
    DEATHS = "deaths"
    INCIDENTS = "incidents"
    RESCUED_PERSONS = "rescued_persons"
    SEIZURES = "seizures"
    VICTIMS_IDENTIFIED = "victims_identified"


class AnswerOutcome(StrEnum):
    """What became of a question.

    Transmission, delay and refusal as in form A of Council Framework Decision 2006/960/JHA; `partly_provided`
    and `nothing_known` are ours.
    """

    PROVIDED = "provided"
    PARTLY_PROVIDED = "partly_provided"
    NOTHING_KNOWN = "nothing_known"
    DELAYED = "delayed"
    REFUSED = "refused"


class Activity(StrEnum):
    """What a notice of cooperation announces (the bulletin's specification)."""

    MEETING = "meeting"
    TRAINING = "training"
    JOINT_OPERATION = "joint_operation"
    CONTACT = "contact"
