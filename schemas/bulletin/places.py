"""Where: places with their GeoJSON geometries (RFC 7946, WGS 84).

May import pydantic and `schemas`; the common fields and the kinds use it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from schemas.bulletin.limits import PARTS_MAX, POSITIONS_MAX, UNCERTAINTY_METRES_MAX
from schemas.bulletin.values import Country, LineMap
from schemas.bulletin.vocabularies import PlaceRole
from schemas.rules import broken
from schemas.scalars import Message

Longitude = Annotated[float, Field(ge=-180, le=180)]
"""Degrees east of Greenwich."""

Latitude = Annotated[float, Field(ge=-90, le=90)]
"""Degrees north of the equator."""

Position = tuple[Longitude, Latitude]
"""Longitude first, as GeoJSON has it; no height."""

Positions = Annotated[tuple[Position, ...], Field(min_length=1, max_length=POSITIONS_MAX)]

Path = Annotated[tuple[Position, ...], Field(min_length=2, max_length=POSITIONS_MAX)]


def _closed(ring: tuple[Position, ...]) -> tuple[Position, ...]:
    if ring[0] != ring[-1]:
        raise broken("ring")
    return ring


Ring = Annotated[
    tuple[Position, ...], Field(min_length=4, max_length=POSITIONS_MAX), AfterValidator(_closed)
]

Rings = Annotated[tuple[Ring, ...], Field(min_length=1, max_length=PARTS_MAX)]
"""The outer ring, then its holes."""


class Point(Message):
    """One position."""

    type: Literal["Point"]
    coordinates: Position


class MultiPoint(Message):
    """Several positions."""

    type: Literal["MultiPoint"]
    coordinates: Positions


class LineString(Message):
    """A line."""

    type: Literal["LineString"]
    coordinates: Path


class MultiLineString(Message):
    """Several lines."""

    type: Literal["MultiLineString"]
    coordinates: Annotated[tuple[Path, ...], Field(min_length=1, max_length=PARTS_MAX)]


class Polygon(Message):
    """An area, with its holes."""

    type: Literal["Polygon"]
    coordinates: Rings


class MultiPolygon(Message):
    """Several areas."""

    type: Literal["MultiPolygon"]
    coordinates: Annotated[tuple[Rings, ...], Field(min_length=1, max_length=PARTS_MAX)]


Geometry = Annotated[
    Point | MultiPoint | LineString | MultiLineString | Polygon | MultiPolygon,
    Field(discriminator="type"),
]
"""A GeoJSON geometry without foreign members."""


class Place(Message):
    """A place: its names, country, role, and where it lies.

    `uncertainty_metres` is the radius around the geometry within which the place really lies.
    """

    name: LineMap
    country: Country | None = None
    role: PlaceRole | None = None
    geometry: Geometry | None = None
    uncertainty_metres: Annotated[int, Field(ge=0, le=UNCERTAINTY_METRES_MAX)] | None = None
