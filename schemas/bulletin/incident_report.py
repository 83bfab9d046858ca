"""The kind `incident_report`: what happened, where and when, who suffered, what was seized, what was done.

May import pydantic and `schemas`; `schemas.bulletin` lists it.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.bulletin.common import Bulletin, each_once
from schemas.bulletin.entities import Quantity
from schemas.bulletin.limits import CASUALTIES_MAX, PLACES_MAX, SEIZURES_MAX
from schemas.bulletin.parts import Observed
from schemas.bulletin.places import Place
from schemas.bulletin.values import LineMap, LocalId, ParagraphMap
from schemas.bulletin.vocabularies import (
    CasualtyGroup,
    Certainty,
    Goods,
    IncidentType,
    Kind,
    ResponseMeasure,
    Severity,
    Urgency,
)
from schemas.rules import broken
from schemas.scalars import Count, Message, SortedUnique


class Casualties(Message):
    """How many of one group were killed, injured or are missing; absent is unknown, 0 is none."""

    group: CasualtyGroup
    dead: Count | None = None
    injured: Count | None = None
    missing: Count | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.dead is None and self.injured is None and self.missing is None:
            raise broken("nothing_given", members="dead, injured, missing")
        return self


class Seizure(Message):
    """Goods that were seized; `quantity.kilograms` derives their mass where the unit is one of mass.

    `entity` is the id of the entity that describes them closer.
    """

    goods: Goods
    description: LineMap | None = None
    quantity: Quantity | None = None
    entity: LocalId | None = None


class Response(Message):
    """What was done so far, by whom, and how many people it concerned; absent is unknown, 0 is none."""

    measures: Annotated[
        tuple[ResponseMeasure, ...],
        Field(min_length=1, max_length=len(ResponseMeasure)),
        SortedUnique,
    ]
    units: LineMap | None = None
    intercepted: Count | None = None
    arrested: Count | None = None
    rescued: Count | None = None
    description: ParagraphMap | None = None


class IncidentReport(Bulletin):
    """An incident: `places` say where, `observed` says when, and a report has both.

    `urgency`, `severity` and `certainty` are those of CAP 1.2, and say what recipients have before them now.
    """

    kind: Literal[Kind.INCIDENT_REPORT]
    observed: Observed
    places: Annotated[tuple[Place, ...], Field(min_length=1, max_length=PLACES_MAX)]
    incident: IncidentType
    urgency: Urgency
    severity: Severity
    certainty: Certainty
    casualties: Annotated[tuple[Casualties, ...], Field(max_length=CASUALTIES_MAX)] = ()
    seizures: Annotated[tuple[Seizure, ...], Field(max_length=SEIZURES_MAX)] = ()
    response: Response | None = None

    @model_validator(mode="after")
    def _each_group_once_and_entities_known(self) -> Self:
        each_once(casualties.group.value for casualties in self.casualties)
        for seizure in self.seizures:
            if seizure.entity is not None:
                self._entity(seizure.entity)
        return self
