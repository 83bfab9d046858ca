"""Entities: the people and things that a bulletin names, and the links between them.

May import pydantic and `schemas`; the common fields and the kinds use it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.bulletin.limits import NAMES_MAX, NATIONALITIES_MAX
from schemas.bulletin.units import kilograms
from schemas.bulletin.values import (
    Country,
    Date,
    Line,
    LineMap,
    LocalId,
    ParagraphMap,
    PartialDate,
    PhoneNumber,
)
from schemas.bulletin.vocabularies import Confidence, DocumentType, Goods, LinkType, Sex, WeaponType
from schemas.rules import broken
from schemas.scalars import Message, Ordinal, SortedUnique

Names = Annotated[tuple[Line, ...], Field(max_length=NAMES_MAX)]
"""The name on record first, then aliases and other spellings, in whatever script."""


class Quantity(Message):
    """How much: whole units of UNECE Recommendation 20, as KGM, GRM, LTR or C62 (pieces)."""

    amount: Ordinal
    unit: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{2,3}$")]

    @property
    def kilograms(self) -> Decimal | None:
        """The same in kilograms, exactly; None where the unit has no mass of its own."""
        return kilograms(self.amount, self.unit)


class _Entity(Message):
    id: LocalId
    description: ParagraphMap | None = None


class Person(_Entity):
    """A person; the parents' names tell bearers of one name apart, as civil registers do."""

    type: Literal["person"]
    names: Names = ()
    sex: Sex | None = None
    born: PartialDate | None = None
    birth_place: LineMap | None = None
    father: Line | None = None
    mother: Line | None = None
    nationalities: Annotated[
        tuple[Country, ...], Field(max_length=NATIONALITIES_MAX), SortedUnique
    ] = ()


class Group(_Entity):
    """A group, network or company."""

    type: Literal["group"]
    names: Names = ()


class Vehicle(_Entity):
    """A vehicle; `vin` as in ISO 3779."""

    type: Literal["vehicle"]
    plate: Line | None = None
    country: Country | None = None
    make: Line | None = None
    model: Line | None = None
    colour: LineMap | None = None
    vin: Annotated[str, StringConstraints(pattern=r"^[A-HJ-NPR-Z0-9]{17}$")] | None = None


class Vessel(_Entity):
    """A vessel; `imo` is the ship's IMO number, `mmsi` its radio identity (ITU-R M.585)."""

    type: Literal["vessel"]
    names: Names = ()
    flag: Country | None = None
    imo: Annotated[str, StringConstraints(pattern=r"^[0-9]{7}$")] | None = None
    mmsi: Annotated[str, StringConstraints(pattern=r"^[0-9]{9}$")] | None = None
    call_sign: Line | None = None


class Weapon(_Entity):
    """A weapon, or several of one make; the marks are those of the International Tracing Instrument."""

    type: Literal["weapon"]
    category: WeaponType
    make: Line | None = None
    model: Line | None = None
    calibre: Line | None = None
    serial: Line | None = None
    made_in: Country | None = None
    quantity: Quantity | None = None


class Document(_Entity):
    """A document of a person, vehicle or cargo."""

    type: Literal["document"]
    category: DocumentType
    number: Line | None = None
    country: Country | None = None
    expires: Date | None = None


class Good(_Entity):
    """A consignment."""

    type: Literal["good"]
    category: Goods
    quantity: Quantity | None = None


class Phone(_Entity):
    """A telephone number."""

    type: Literal["phone"]
    number: PhoneNumber


class Account(_Entity):
    """An account with a bank, a money service or a network."""

    type: Literal["account"]
    provider: Line
    identifier: Line


Entity = Annotated[
    Person | Group | Vehicle | Vessel | Weapon | Document | Good | Phone | Account,
    Field(discriminator="type"),
]
"""Any entity; `id` is known within the bulletin, for links."""

IDENTIFYING = (Person, Phone, Account)
"""Entities that are personal data whatever else is said of them."""


class Link(Message):
    """How one entity stands to another, read from `source` to `target`."""

    source: LocalId
    type: LinkType
    target: LocalId
    confidence: Confidence | None = None
    description: ParagraphMap | None = None

    @model_validator(mode="after")
    def _joins_two(self) -> Self:
        if self.source == self.target:
            raise broken("link_to_itself")
        return self
