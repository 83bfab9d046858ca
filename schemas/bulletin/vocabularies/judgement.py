"""How reliable, sure, likely, grave and exact: the words of evaluation and analysis, with their sources.

May import the standard library only; read through `schemas.bulletin.vocabularies`.
"""

from enum import IntEnum, StrEnum


class Reliability(StrEnum):
    """How reliable the source is (NATO AJP-2.1, the Admiralty system)."""

    A = "A"
    """Completely reliable."""
    B = "B"
    """Usually reliable."""
    C = "C"
    """Fairly reliable."""
    D = "D"
    """Not usually reliable."""
    E = "E"
    """Unreliable."""
    F = "F"
    """Reliability cannot be judged."""


class Credibility(IntEnum):
    """How credible the information is (NATO AJP-2.1, the Admiralty system)."""

    CONFIRMED = 1
    PROBABLY_TRUE = 2
    POSSIBLY_TRUE = 3
    DOUBTFUL = 4
    IMPROBABLE = 5
    CANNOT_BE_JUDGED = 6


class Likelihood(StrEnum):
    """How likely it is, least likely first (ICD 203, 2015, section D.6.e.2)."""

    ALMOST_NO_CHANCE = "almost_no_chance"
    VERY_UNLIKELY = "very_unlikely"
    UNLIKELY = "unlikely"
    ROUGHLY_EVEN_CHANCE = "roughly_even_chance"
    LIKELY = "likely"
    VERY_LIKELY = "very_likely"
    ALMOST_CERTAIN = "almost_certain"

    @property
    def percent(self) -> tuple[int, int]:
        """From and to, in percent, as the directive gives them."""
        return _PERCENT[self]


_PERCENT = {
    Likelihood.ALMOST_NO_CHANCE: (1, 5),
    Likelihood.VERY_UNLIKELY: (5, 20),
    Likelihood.UNLIKELY: (20, 45),
    Likelihood.ROUGHLY_EVEN_CHANCE: (45, 55),
    Likelihood.LIKELY: (55, 80),
    Likelihood.VERY_LIKELY: (80, 95),
    Likelihood.ALMOST_CERTAIN: (95, 99),
}


class Confidence(StrEnum):
    """How sure the analyst is of the judgement, least sure first (ICD 203)."""

    LOW = "low"
    MODERATE = "moderate"
    HIGH = "high"


class Impact(StrEnum):
    """How much an event weighs on a border, least first (Regulation (EU) 2019/1896, article 34)."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Precision(StrEnum):
    """How exactly a time is known, coarsest first (STIX 1.2 DateTimePrecisionEnum)."""

    YEAR = "year"
    MONTH = "month"
    DAY = "day"
    HOUR = "hour"
    MINUTE = "minute"
    SECOND = "second"


class Trend(StrEnum):
    """Where a risk is heading, compared with the period before (ours)."""

    INCREASING = "increasing"
    STABLE = "stable"
    DECREASING = "decreasing"
    UNCLEAR = "unclear"


class RootCauseDomain(StrEnum):
    """Where a cause behind a risk lies (the bulletin's specification)."""

    SOCIAL = "social"
    ECONOMIC = "economic"
    GOVERNANCE = "governance"
    ENVIRONMENT = "environment"


class Urgency(StrEnum):
    """How soon one must act (OASIS CAP 1.2, `urgency`)."""

    IMMEDIATE = "immediate"
    EXPECTED = "expected"
    FUTURE = "future"
    PAST = "past"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    """How great the threat to life or property is (OASIS CAP 1.2, `severity`)."""

    EXTREME = "extreme"
    SEVERE = "severe"
    MODERATE = "moderate"
    MINOR = "minor"
    UNKNOWN = "unknown"


class Certainty(StrEnum):
    """How certain the event is; `likely` is more than even (OASIS CAP 1.2, `certainty`)."""

    OBSERVED = "observed"
    LIKELY = "likely"
    POSSIBLE = "possible"
    UNLIKELY = "unlikely"
    UNKNOWN = "unknown"
