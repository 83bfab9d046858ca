"""The kind `situation_report`: what a period brought, in sections and in numbers.

May import pydantic and `schemas`; `schemas.bulletin` lists it.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.bulletin.common import Bulletin, each_once
from schemas.bulletin.limits import COUNTS_MAX, SECTIONS_MAX
from schemas.bulletin.parts import Period
from schemas.bulletin.values import LineMap, TextMap
from schemas.bulletin.vocabularies import CountMeasure, Kind, Topic
from schemas.rules import broken
from schemas.scalars import Count, Message


class Section(Message):
    """A part of the report with its heading: a sector, a subject, an outlook."""

    title: LineMap
    text: TextMap


class TopicCount(Message):
    """How many there were in the period, and how many in the one of equal length before it."""

    topic: Topic
    measure: CountMeasure
    count: Count
    previous: Count | None = None


class SituationReport(Bulletin):
    """A report at regular times, or in a crisis at short ones: `period` is what it covers."""

    kind: Literal[Kind.SITUATION_REPORT]
    period: Period
    sections: Annotated[tuple[Section, ...], Field(min_length=1, max_length=SECTIONS_MAX)]
    counts: Annotated[tuple[TopicCount, ...], Field(max_length=COUNTS_MAX)] = ()

    @model_validator(mode="after")
    def _counts_are_of_its_topics(self) -> Self:
        each_once(f"{one.topic.value}, {one.measure.value}" for one in self.counts)
        for one in self.counts:
            # The access rules judge by `topics`: numbers on another topic would pass them unseen.
            if one.topic not in self.topics:
                raise broken("topic_not_listed", topic=one.topic.value)
        return self
