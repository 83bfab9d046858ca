"""Markings: what a recipient may do with a bulletin; and that part of it which the header repeats.

May import pydantic and `schemas`; the common fields and `schemas.envelope` use it.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.bulletin.values import ParagraphMap
from schemas.bulletin.vocabularies import Caveat, Classification, Pap, Tlp
from schemas.limits import RELEASE_TO_MAX
from schemas.rules import broken
from schemas.scalars import MemberId, Message, SortedUnique


class HeaderMarking(Message):
    """The marking that the access rules see; caveats and members are sorted."""

    tlp: Tlp
    classification: Classification
    caveats: Annotated[tuple[Caveat, ...], Field(max_length=len(Caveat)), SortedUnique]
    release_to: (
        Annotated[
            tuple[MemberId, ...], Field(min_length=1, max_length=RELEASE_TO_MAX), SortedUnique
        ]
        | None
    ) = None

    @model_validator(mode="after")
    def _release_to_has_its_list(self) -> Self:
        if (self.release_to is not None) != (Caveat.RELEASE_TO in self.caveats):
            raise broken("release_to")
        return self


class Marking(HeaderMarking):
    """The whole marking: `pap` and the sealed text of the caveat h3 are the bulletin's alone."""

    pap: Pap | None = None
    handling_note: ParagraphMap | None = None

    @model_validator(mode="after")
    def _h3_has_its_text(self) -> Self:
        if (self.handling_note is not None) != (Caveat.H3 in self.caveats):
            raise broken("handling_note")
        return self

    def for_header(self) -> HeaderMarking:
        """Leave out what only the bulletin has."""
        return HeaderMarking(
            tlp=self.tlp,
            classification=self.classification,
            caveats=self.caveats,
            release_to=self.release_to,
        )
