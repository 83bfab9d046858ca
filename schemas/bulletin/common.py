"""The fields that all kinds of bulletins share, and the rules between them.

May import pydantic and `schemas`; every kind inherits from `Bulletin`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.bulletin.entities import IDENTIFYING, Entity, Link
from schemas.bulletin.indicators import Indicator
from schemas.bulletin.limits import ENTITIES_MAX, INDICATORS_MAX, LINKS_MAX, PLACES_MAX
from schemas.bulletin.marking import Marking
from schemas.bulletin.parts import (
    Action,
    Attachment,
    BulletinReference,
    Evaluation,
    Event,
    Observed,
    Originator,
    References,
)
from schemas.bulletin.places import Place
from schemas.bulletin.values import Line, LineMap, ParagraphMap, TextMap
from schemas.bulletin.vocabularies import Kind, Likelihood, Purpose, Status, Topic
from schemas.limits import ATTACHMENTS_MAX, TOPICS_MAX
from schemas.rules import broken
from schemas.scalars import Message, SortedUnique, UtcTime, Uuid7

BULLETIN_VERSION = 1
"""The version of this model; a desk's directory entry lists those it accepts."""


class Bulletin(Message):
    """The common fields of every kind (the bulletin's specification, "Common fields").

    `topics` is sorted, as the header repeats it. Times are UTC; `retain_until` and `review_by` are for the
    recipient's node, which erases and reminds; `valid_until` is how long the content holds.
    """

    version: Annotated[int, Field(ge=BULLETIN_VERSION, le=BULLETIN_VERSION)]
    id: Uuid7
    kind: Kind
    status: Status
    exercise: Line | None = None
    created: UtcTime
    originator: Originator
    purpose: Purpose
    personal_data: bool
    retain_until: UtcTime | None = None
    review_by: UtcTime | None = None
    event: Event | None = None
    action: Action | None = None
    title: LineMap
    summary: ParagraphMap
    text: TextMap | None = None
    topics: Annotated[tuple[Topic, ...], Field(min_length=1, max_length=TOPICS_MAX), SortedUnique]
    marking: Marking
    evaluation: Evaluation | None = None
    likelihood: Likelihood | None = None
    observed: Observed | None = None
    valid_until: UtcTime | None = None
    places: Annotated[tuple[Place, ...], Field(max_length=PLACES_MAX)] = ()
    entities: Annotated[tuple[Entity, ...], Field(max_length=ENTITIES_MAX)] = ()
    links: Annotated[tuple[Link, ...], Field(max_length=LINKS_MAX)] = ()
    indicators: Annotated[tuple[Indicator, ...], Field(max_length=INDICATORS_MAX)] = ()
    references: References | None = None
    in_reply_to: BulletinReference | None = None
    attachments: Annotated[tuple[Attachment, ...], Field(max_length=ATTACHMENTS_MAX)] = ()

    @model_validator(mode="after")
    def _exercise_has_its_name(self) -> Self:
        if (self.exercise is not None) != (self.status is Status.EXERCISE):
            raise broken("exercise")
        return self

    @model_validator(mode="after")
    def _what_is_to_come_lies_ahead(self) -> Self:
        ahead = {
            "valid_until": self.valid_until,
            "review_by": self.review_by,
            "retain_until": self.retain_until,
            "action.reply_by": self.action.reply_by if self.action else None,
        }
        for member, moment in ahead.items():
            if moment is not None and moment <= self.created:
                raise broken("after_created", member=member)
        return self

    @model_validator(mode="after")
    def _ids_are_known_and_occur_once(self) -> Self:
        each_once(entity.id for entity in self.entities)
        each_once(attachment.id for attachment in self.attachments)
        for link in self.links:
            for end in (link.source, link.target):
                self._entity(end)
        return self

    @model_validator(mode="after")
    def _people_are_personal_data(self) -> Self:
        # The access rules see only this flag, so it must not be false by mistake.
        if not self.personal_data and any(isinstance(e, IDENTIFYING) for e in self.entities):
            raise broken("personal_data")
        return self

    @cached_property
    def entities_by_id(self) -> dict[str, Entity]:
        """The entities, for those who follow links."""
        return {entity.id: entity for entity in self.entities}

    def _entity(self, id_: str) -> Entity:
        """Find an entity that a rule of this model or of a kind needs."""
        if id_ not in self.entities_by_id:
            raise broken("unknown_entity", id=id_)
        return self.entities_by_id[id_]


def each_once(ids: Iterable[str]) -> None:
    """Refuse a list in which an id occurs twice (rule `twice`)."""
    for id_, count in Counter(ids).items():
        if count > 1:
            raise broken("twice", id=id_)
