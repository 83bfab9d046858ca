"""Kind, status, precedence, topic, purpose, marking and desks: what the access rules read (not `Pap`).

May import the standard library only; read through `schemas.bulletin.vocabularies`.
"""

from enum import StrEnum


class Kind(StrEnum):
    """What a bulletin is (the bulletin's specification)."""

    THREAT_BULLETIN = "threat_bulletin"
    RISK_ASSESSMENT = "risk_assessment"
    INCIDENT_REPORT = "incident_report"
    JUDICIAL_REQUEST = "judicial_request"
    SITUATION_REPORT = "situation_report"
    INFORMATION_REQUEST = "information_request"
    INFORMATION_REPLY = "information_reply"
    COOPERATION_NOTICE = "cooperation_notice"
    WITHDRAWAL = "withdrawal"


class Status(StrEnum):
    """Whether it is real (CAP 1.2 `status`, EDXL-DE `distributionStatus`, STANAG 4406)."""

    ACTUAL = "actual"
    EXERCISE = "exercise"
    TEST = "test"


class Precedence(StrEnum):
    """How urgent the delivery is, most urgent first (ACP 121)."""

    FLASH = "flash"
    IMMEDIATE = "immediate"
    PRIORITY = "priority"
    ROUTINE = "routine"

    @property
    def rank(self) -> int:
        """0 for flash up to 3 for routine: the order of delivery."""
        return list(Precedence).index(self)


class Topic(StrEnum):
    """What it is about (Tripoli Plan of Action, 12 March 2012)."""

    ARMS = "arms"
    SMUGGLING = "smuggling"
    TERRORISM = "terrorism"
    ORGANISED_CRIME = "organised_crime"
    IRREGULAR_MIGRATION = "irregular_migration"
    HUMAN_TRAFFICKING = "human_trafficking"
    DRUGS = "drugs"
    BORDER_MANAGEMENT = "border_management"
    JUDICIAL_COOPERATION = "judicial_cooperation"
    DEVELOPMENT = "development"
    TRAINING = "training"


class Tlp(StrEnum):
    """Traffic Light Protocol, least restricted first (FIRST TLP 2.0)."""

    CLEAR = "clear"
    GREEN = "green"
    AMBER = "amber"
    AMBER_STRICT = "amber+strict"
    RED = "red"

    @property
    def rank(self) -> int:
        """0 for clear up to 4 for red."""
        return list(Tlp).index(self)


class Classification(StrEnum):
    """The common four-step scale, lowest first; national names stand in the directory."""

    UNCLASSIFIED = "unclassified"
    RESTRICTED = "restricted"
    CONFIDENTIAL = "confidential"
    SECRET = "secret"

    @property
    def rank(self) -> int:
        """0 for unclassified up to 3 for secret."""
        return list(Classification).index(self)


class Purpose(StrEnum):
    """Why it may be used (CISE 1.5.3, its border and law enforcement part, and the communiqué)."""

    BORDER_MONITORING = "border_monitoring"
    BORDER_OPERATION = "border_operation"
    COUNTER_TERRORISM = "counter_terrorism"
    CUSTOMS_MONITORING = "customs_monitoring"
    CUSTOMS_OPERATION = "customs_operation"
    LAW_ENFORCEMENT_MONITORING = "law_enforcement_monitoring"
    LAW_ENFORCEMENT_OPERATION = "law_enforcement_operation"
    SEARCH_AND_RESCUE = "search_and_rescue"
    JUDICIAL_COOPERATION = "judicial_cooperation"
    ANALYSIS = "analysis"
    TRAINING = "training"


class Caveat(StrEnum):
    """What a recipient may not do without asking (originator control; Europol handling codes H0 to H3)."""

    ORCON = "orcon"
    RELEASE_TO = "release_to"
    JUDICIAL_ONLY = "judicial_only"
    NO_AUTOMATED_ACTION = "no_automated_action"
    H0 = "h0"
    H1 = "h1"
    H2 = "h2"
    H3 = "h3"


class Pap(StrEnum):
    """Permissible Actions Protocol, least restricted first: what a recipient may do with it (PAP)."""

    CLEAR = "clear"
    """No restriction."""
    GREEN = "green"
    """Active measures are allowed."""
    AMBER = "amber"
    """Passive checks only: nothing that the subject could notice."""
    RED = "red"
    """To be read, and used for nothing else."""


class DeskFunction(StrEnum):
    """What a desk is, as the council grants it."""

    MAIN = "main"
    BORDER_GUARD = "border_guard"
    CUSTOMS = "customs"
    POLICE = "police"
    JUDICIAL = "judicial"
    MILITARY = "military"
    EXPERT_COMMITTEE = "expert_committee"
    AUDITOR = "auditor"
    OBSERVER = "observer"
