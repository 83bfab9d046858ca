"""The kind `threat_bulletin`: who threatens what, by which methods, on which routes, with which goods.

May import pydantic and `schemas`; `schemas.bulletin` lists it. Likelihood and indicators are common fields.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.bulletin.common import Bulletin
from schemas.bulletin.entities import Group, Person, Quantity
from schemas.bulletin.limits import (
    ACTORS_MAX,
    GOODS_MAX,
    METHODS_MAX,
    ROUTE_COUNTRIES_MAX,
    ROUTES_MAX,
)
from schemas.bulletin.places import LineString, MultiLineString
from schemas.bulletin.values import Country, LineMap, LocalId, ParagraphMap
from schemas.bulletin.vocabularies import ActorRole, Goods, Kind, Means
from schemas.rules import broken
from schemas.scalars import Message, SortedUnique


class Actor(Message):
    """A person or group of `entities`, and what it does."""

    entity: LocalId
    roles: Annotated[
        tuple[ActorRole, ...], Field(min_length=1, max_length=len(ActorRole)), SortedUnique
    ]
    description: ParagraphMap | None = None


class Route(Message):
    """A way that people or goods take: countries in the order of travel, and the line where it is known."""

    name: LineMap
    means: Annotated[tuple[Means, ...], Field(max_length=len(Means)), SortedUnique] = ()
    countries: Annotated[tuple[Country, ...], Field(max_length=ROUTE_COUNTRIES_MAX)] = ()
    geometry: Annotated[LineString | MultiLineString, Field(discriminator="type")] | None = None
    description: ParagraphMap | None = None


class TraffickedGoods(Message):
    """A kind of goods, and how much of it where that is known."""

    category: Goods
    description: LineMap | None = None
    quantity: Quantity | None = None


class ThreatBulletin(Bulletin):
    """A threat: what a sender's analysts want its neighbours to know and to look out for."""

    kind: Literal[Kind.THREAT_BULLETIN]
    actors: Annotated[tuple[Actor, ...], Field(max_length=ACTORS_MAX)] = ()
    methods: Annotated[tuple[ParagraphMap, ...], Field(max_length=METHODS_MAX)] = ()
    routes: Annotated[tuple[Route, ...], Field(max_length=ROUTES_MAX)] = ()
    goods: Annotated[tuple[TraffickedGoods, ...], Field(max_length=GOODS_MAX)] = ()

    @model_validator(mode="after")
    def _actors_are_people_or_groups(self) -> Self:
        for actor in self.actors:
            if not isinstance(self._entity(actor.entity), Person | Group):
                raise broken("entity_type", id=actor.entity, expected="person, group")
        return self
