"""The kind `judicial_request`: what one state's judicial authority asks of another's.

May import pydantic and `schemas`; `schemas.bulletin` lists it. Only judicial desks may receive it, which is
for the access rules to say.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from schemas.bulletin.common import Bulletin
from schemas.bulletin.entities import Person
from schemas.bulletin.limits import CHARGES_MAX, LEGAL_BASES_MAX
from schemas.bulletin.parts import Observed
from schemas.bulletin.values import Country, Date, Line, LineMap, LocalId
from schemas.bulletin.vocabularies import Kind, Purpose, RequestStatus, RequestType
from schemas.rules import broken
from schemas.scalars import Message

NEEDS: Final[dict[RequestType, frozenset[str]]] = {
    RequestType.ARREST_WARRANT: frozenset({"person", "charges"}),
    RequestType.EXTRADITION: frozenset({"person", "charges", "legal_basis"}),
    RequestType.WANTED: frozenset({"person", "charges"}),
    RequestType.MISSING: frozenset({"person"}),
    RequestType.MUTUAL_LEGAL_ASSISTANCE: frozenset({"charges", "legal_basis"}),
}
"""Request → members that it cannot do without. Extradition and assistance between states rest on an
instrument; assistance may be about an offence whose author is unknown."""


class Charge(Message):
    """An offence: what the law calls it, which law, and what it carries at most."""

    offence: LineMap
    law: LineMap
    maximum_penalty: LineMap | None = None
    committed: Observed | None = None


class IssuingAuthority(Message):
    """The court or prosecutor that issued it; `reference` is the number of its file or warrant."""

    name: LineMap
    country: Country
    reference: Line
    issued: Date


class LegalBasis(Message):
    """The treaty, law or assurance of reciprocity that the request rests on."""

    instrument: LineMap
    articles: Line | None = None


class JudicialRequest(Bulletin):
    """A request between judicial authorities.

    `request_status` is what has become of it (`status` says whether it is real); `person` is the id of an
    entity; `sentence` is what was pronounced, where the person was tried.
    """

    kind: Literal[Kind.JUDICIAL_REQUEST]
    purpose: Literal[Purpose.JUDICIAL_COOPERATION]
    request: RequestType
    request_status: RequestStatus
    issuing_authority: IssuingAuthority
    person: LocalId | None = None
    charges: Annotated[tuple[Charge, ...], Field(max_length=CHARGES_MAX)] = ()
    sentence: LineMap | None = None
    legal_basis: Annotated[tuple[LegalBasis, ...], Field(max_length=LEGAL_BASES_MAX)] = ()

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        for member in sorted(NEEDS[self.request]):
            if not getattr(self, member):
                raise broken("request_needs", request=self.request.value, member=member)
        # A missing person is looked for, not accused.
        if self.request is RequestType.MISSING and self.charges:
            raise broken("request_excludes", request=self.request.value, member="charges")
        return self

    @model_validator(mode="after")
    def _is_about_a_person(self) -> Self:
        if self.person is not None and not isinstance(self._entity(self.person), Person):
            raise broken("entity_type", id=self.person, expected="person")
        if not self.personal_data:
            raise broken("personal_data")
        return self
