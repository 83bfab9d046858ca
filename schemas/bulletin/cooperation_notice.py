"""The kind `cooperation_notice`: meetings, trainings and joint operations to come, and points of contact.

May import pydantic and `schemas`; `schemas.bulletin` lists it. Times and place are what iCalendar (RFC 5545)
needs of an event.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.bulletin.common import Bulletin
from schemas.bulletin.limits import (
    AGENDA_ITEMS_MAX,
    CONTACT_POINTS_MAX,
    EMAIL_CHARACTERS_MAX,
    WORKING_LANGUAGES_MAX,
)
from schemas.bulletin.parts import Period
from schemas.bulletin.places import Place
from schemas.bulletin.values import LanguageTag, Line, LineMap, PhoneNumber
from schemas.bulletin.vocabularies import Activity, Kind
from schemas.rules import broken
from schemas.scalars import Message, SortedUnique

NEEDS: Final[dict[Activity, frozenset[str]]] = {
    Activity.MEETING: frozenset({"time", "venue"}),
    Activity.TRAINING: frozenset({"time", "venue"}),
    Activity.JOINT_OPERATION: frozenset({"time"}),
    Activity.CONTACT: frozenset({"contact_points"}),
}
"""Activity → members that it cannot do without. Where a joint operation takes place, its `places` may say."""

Languages = Annotated[
    tuple[LanguageTag, ...], Field(min_length=1, max_length=WORKING_LANGUAGES_MAX), SortedUnique
]


class ContactPoint(Message):
    """An office that can be reached, never a person: its name, how, when, and in which languages."""

    office: LineMap
    phone: PhoneNumber | None = None
    email: (
        Annotated[
            str,
            StringConstraints(
                max_length=EMAIL_CHARACTERS_MAX,
                pattern=r"^[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$",
            ),
        ]
        | None
    ) = None
    hours: Line | None = None
    languages: Languages | None = None

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.phone is None and self.email is None:
            raise broken("nothing_given", members="phone, email")
        return self


class CooperationNotice(Bulletin):
    """What is planned, when and where, and in which languages people work there.

    `time` is in UTC, whatever the clock of the venue shows.
    """

    kind: Literal[Kind.COOPERATION_NOTICE]
    activity: Activity
    languages: Languages
    time: Period | None = None
    venue: Place | None = None
    agenda: Annotated[tuple[LineMap, ...], Field(max_length=AGENDA_ITEMS_MAX)] = ()
    contact_points: Annotated[tuple[ContactPoint, ...], Field(max_length=CONTACT_POINTS_MAX)] = ()

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        for member in sorted(NEEDS[self.activity]):
            if not getattr(self, member):
                raise broken("notice_needs", activity=self.activity.value, member=member)
        return self
