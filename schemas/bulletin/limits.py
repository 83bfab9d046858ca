"""The limits of a bulletin's own members, each with its unit and its reason.

May import nothing of Barid; `schemas.limits` holds those that other parties see as well.
"""

from typing import Final

LANGUAGES_MAX: Final = 8
"""Languages of one text: the three of the exchange, and a region's others."""

LINE_CHARACTERS_MAX: Final = 300
"""Characters of a title or name: two printed lines."""

PARAGRAPH_CHARACTERS_MAX: Final = 4000
"""Characters of a summary or description: one printed page."""

TEXT_CHARACTERS_MAX: Final = 100_000
"""Characters of a text: 30 printed pages; in Arabic it nearly fills the bulletin's bytes."""

URL_CHARACTERS_MAX: Final = 2048
"""Characters of an address: what browsers and proxies carry."""

FILE_NAME_CHARACTERS_MAX: Final = 120
"""Characters of an attachment's name: at most 255 bytes of Arabic, which file systems take."""

PATTERN_CHARACTERS_MAX: Final = 4096
"""Characters of a STIX pattern."""

PLACES_MAX: Final = 64
"""Places of one bulletin (the bulletin's specification)."""

POSITIONS_MAX: Final = 2000
"""Positions of one line or ring: a border of 2,000 km with one for each kilometre."""

PARTS_MAX: Final = 64
"""Lines, rings or polygons of one geometry."""

UNCERTAINTY_METRES_MAX: Final = 1_000_000
"""Metres around a place: beyond 1,000 km the place says nothing."""

ENTITIES_MAX: Final = 500
"""Entities of one bulletin (the bulletin's specification)."""

LINKS_MAX: Final = 1000
"""Links between entities: two for each entity."""

NAMES_MAX: Final = 32
"""Names and spellings of one entity; Arabic names have many in Latin letters."""

NATIONALITIES_MAX: Final = 8
"""Nationalities of one person."""

INDICATORS_MAX: Final = 200
"""STIX patterns of one bulletin."""

REFERENCES_MAX: Final = 64
"""Bulletins, and as many addresses, that one bulletin refers to."""

ACTION_DESKS_MAX: Final = 500
"""Desks that must act, and as many informed: every desk that an envelope can reach."""

ACTORS_MAX: Final = 64
"""Actors of a threat."""

METHODS_MAX: Final = 64
"""Methods of a threat."""

ROUTES_MAX: Final = 32
"""Routes of a threat."""

ROUTE_COUNTRIES_MAX: Final = 32
"""Countries that one route passes, in order; it may return to one."""

GOODS_MAX: Final = 64
"""Kinds of goods of a threat."""

CHARGES_MAX: Final = 32
"""Charges of a judicial request."""

LEGAL_BASES_MAX: Final = 16
"""Instruments that a judicial request rests on."""

SEGMENTS_MAX: Final = 32
"""Border segments of one risk assessment: the longest border of the region has some twenty sectors."""

ROOT_CAUSES_MAX: Final = 32
"""Root causes of a risk: eight for each of the four domains."""

RECOMMENDATIONS_MAX: Final = 32
"""Measures that one assessment recommends: more is a plan, which goes into an attachment."""

CASUALTIES_MAX: Final = 5
"""Groups of people of which casualties are told: each once."""

SEIZURES_MAX: Final = 64
"""Seizures of one incident: as many as kinds of goods of a threat."""

SECTIONS_MAX: Final = 32
"""Sections of a situation report."""

COUNTS_MAX: Final = 143
"""Counts of a situation report: each measure once for each topic."""

QUESTIONS_MAX: Final = 32
"""Questions of one request, and answers of one reply: what one desk can look up in a working day."""

CONTACT_POINTS_MAX: Final = 32
"""Offices that a notice names: three for each of ten members."""

WORKING_LANGUAGES_MAX: Final = 8
"""Languages in which people meet or answer: as many as one text may have."""

AGENDA_ITEMS_MAX: Final = 32
"""Items of an agenda: two days of half-hour items."""

EMAIL_CHARACTERS_MAX: Final = 254
"""Characters of an e-mail address (RFC 5321, erratum 1690)."""
