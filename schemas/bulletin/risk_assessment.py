"""The kind `risk_assessment`: risk as a function of threat, vulnerability and impact.

May import pydantic and `schemas`; `schemas.bulletin` lists it. The components are those that Frontex's Common
Integrated Risk Analysis Model (CIRAM) names; the scale and the default method are our own.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from schemas.bulletin.common import Bulletin
from schemas.bulletin.limits import RECOMMENDATIONS_MAX, ROOT_CAUSES_MAX, SEGMENTS_MAX
from schemas.bulletin.places import LineString, MultiLineString
from schemas.bulletin.values import Country, LineMap, ParagraphMap
from schemas.bulletin.vocabularies import Confidence, Impact, Kind, RootCauseDomain, Trend
from schemas.rules import broken
from schemas.scalars import Message, SortedUnique, UtcTime, Word

LEVEL_MAX: Final = 5

GEOMETRIC_MEAN: Final = "geometric_mean"
"""The default method: `geometric_mean` below. The council may agree on others by other words."""

Level = Annotated[int, Field(ge=1, le=LEVEL_MAX)]
"""1 very low, 2 low, 3 medium, 4 high, 5 very high."""


class Rating(Message):
    """A level from 1 (very low) to 5 (very high), and the reason for it."""

    level: Level
    reason: ParagraphMap


class Vulnerability(Message):
    """How far the capacity to mitigate the threat falls short; a high level is a weak capacity.

    CIRAM defines vulnerability by the capacity of a system to mitigate a threat. The scale here runs against
    that capacity, so that a higher level always means a higher risk: 1 is a full capacity, 5 is none.
    """

    level: Annotated[
        Level,
        Field(description="1: full capacity to mitigate the threat; 5: none. Higher is worse."),
    ]
    reason: ParagraphMap


class ThreatRatings(Message):
    """The threat: how great it is, and how likely (`likelihood` of the bulletin words it in percent)."""

    magnitude: Rating
    likelihood: Rating


class Risk(Message):
    """The combination: by which method, and its result from 1 (very low) to 5 (very high)."""

    method: Annotated[
        Word,
        Field(
            description=(
                "`geometric_mean` is the default, and its result is checked: the geometric mean of "
                "threat, vulnerability and impact, where the threat is the geometric mean of "
                "magnitude and likelihood, rounded to the nearest level. Another word names a "
                "method that the council has agreed on."
            )
        ),
    ]
    result: Level


class BorderSegment(Message):
    """A segment of a land or sea border, between two countries or of one, and its impact level.

    The levels are those of Regulation (EU) 2019/1896, article 34: incidents on the segment weigh on border
    security insignificantly (low), moderately (medium), significantly (high) or decisively (critical).
    """

    name: LineMap
    countries: Annotated[tuple[Country, ...], Field(min_length=1, max_length=2), SortedUnique]
    geometry: Annotated[LineString | MultiLineString, Field(discriminator="type")] | None = None
    impact_level: Impact
    reason: ParagraphMap | None = None


class RootCause(Message):
    """A cause behind the threat that policing does not remove."""

    domain: RootCauseDomain
    description: ParagraphMap


class Recommendation(Message):
    """A measure that the analysts recommend: what, whom it falls to, by when."""

    measure: ParagraphMap
    responsible: LineMap | None = None
    due: UtcTime | None = None


class RiskAssessment(Bulletin):
    """An assessment of a risk to borders: three components with reasons, their combination, what to do.

    `trend` compares with the period before; `confidence` is the analysts' in the whole judgement (ICD 203).
    """

    kind: Literal[Kind.RISK_ASSESSMENT]
    threat: ThreatRatings
    vulnerability: Vulnerability
    impact: Rating
    risk: Risk
    trend: Trend
    confidence: Confidence
    border_segments: Annotated[
        tuple[BorderSegment, ...], Field(min_length=1, max_length=SEGMENTS_MAX)
    ]
    root_causes: Annotated[tuple[RootCause, ...], Field(max_length=ROOT_CAUSES_MAX)] = ()
    recommendations: Annotated[
        tuple[Recommendation, ...], Field(max_length=RECOMMENDATIONS_MAX)
    ] = ()

    @model_validator(mode="after")
    def _result_is_that_of_the_method(self) -> Self:
        # A method that the council added is not known here: its result stands as the analysts gave it.
        if self.risk.method == GEOMETRIC_MEAN:
            expected = geometric_mean(
                self.threat.magnitude.level,
                self.threat.likelihood.level,
                self.vulnerability.level,
                self.impact.level,
            )
            if self.risk.result != expected:
                raise broken("risk_result", method=self.risk.method, expected=expected)
        return self

    @model_validator(mode="after")
    def _measures_lie_ahead(self) -> Self:
        for number, recommendation in enumerate(self.recommendations):
            if recommendation.due is not None and recommendation.due <= self.created:
                raise broken("after_created", member=f"recommendations[{number}].due")
        return self


def geometric_mean(magnitude: int, likelihood: int, vulnerability: int, impact: int) -> int:
    """Combine the components of a risk by the default method.

    threat = √(magnitude · likelihood); risk = ∛(threat · vulnerability · impact), rounded to the nearest
    level, a half upward. A mean of products, not of sums: one component that is very low holds the risk down,
    as where the capacity to mitigate is full, or little is at stake.

    Args:
        magnitude: of the threat, from 1 to 5.
        likelihood: of the threat, from 1 to 5.
        vulnerability: from 1 (full capacity to mitigate) to 5 (none).
        impact: from 1 to 5.

    Returns:
        the level of the risk, from 1 to 5; by whole numbers alone, so that every implementation agrees.
    """
    # The sixth power of the mean, so that no root has to be drawn.
    power = magnitude * likelihood * vulnerability**2 * impact**2
    return max(level for level in range(1, LEVEL_MAX + 1) if (2 * level - 1) ** 6 <= 2**6 * power)
