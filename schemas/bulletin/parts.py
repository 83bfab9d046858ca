"""Parts that any bulletin can have: originator, event, action, evaluation, times, references, attachments.

May import pydantic and `schemas`; the common fields use it.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.bulletin.limits import ACTION_DESKS_MAX, REFERENCES_MAX
from schemas.bulletin.values import FileName, Line, LineMap, MediaType, Url
from schemas.bulletin.vocabularies import (
    Confidence,
    Credibility,
    Impact,
    Precision,
    Reliability,
)
from schemas.limits import ATTACHMENT_BYTES_MAX
from schemas.rules import broken
from schemas.scalars import DeskId, Message, Sha256Hex, SortedUnique, UtcTime, Uuid7


class Originator(Message):
    """Who speaks: the desk that sends, its agency, and how its duty officer is reached."""

    desk: DeskId
    agency: Line
    contact: Line


class Closure(Message):
    """When an event was closed, and why."""

    at: UtcTime
    why: LineMap


class Event(Message):
    """The event to which reports of several agencies belong; its owner desk alone says it is closed."""

    id: Uuid7
    owner: DeskId
    impact: Impact | None = None
    confidence: Confidence | None = None
    closed: Closure | None = None


class Action(Message):
    """Which desks must act, which are informed, and by when the first answer."""

    act: Annotated[tuple[DeskId, ...], Field(max_length=ACTION_DESKS_MAX), SortedUnique] = ()
    informed: Annotated[tuple[DeskId, ...], Field(max_length=ACTION_DESKS_MAX), SortedUnique] = ()
    reply_by: UtcTime | None = None

    @model_validator(mode="after")
    def _each_desk_once(self) -> Self:
        both = set(self.act) & set(self.informed)
        if both:
            raise broken("twice", id=min(both))
        return self


class Evaluation(Message):
    """The Admiralty grading, as B2: the source's reliability, the information's credibility."""

    reliability: Reliability
    credibility: Credibility


class Observed(Message):
    """When it was seen to happen; without `until` it was a moment, or goes on."""

    from_: Annotated[UtcTime, Field(alias="from")]
    until: UtcTime | None = None
    precision: Precision

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until is not None and self.until < self.from_:
            raise broken("period")
        return self


class Period(Message):
    """A period with both its ends."""

    from_: Annotated[UtcTime, Field(alias="from")]
    until: UtcTime

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until < self.from_:
            raise broken("period")
        return self


class BulletinReference(Message):
    """Another bulletin: its desk and id."""

    desk: DeskId
    id: Uuid7


class References(Message):
    """What else to read."""

    bulletins: Annotated[tuple[BulletinReference, ...], Field(max_length=REFERENCES_MAX)] = ()
    urls: Annotated[tuple[Url, ...], Field(max_length=REFERENCES_MAX)] = ()


class Attachment(Message):
    """A file that travels beside the bulletin; `size` (bytes) and `sha256` are of its plaintext."""

    id: Uuid7
    name: FileName
    media_type: MediaType
    size: Annotated[int, Field(ge=0, le=ATTACHMENT_BYTES_MAX)]
    sha256: Sha256Hex
