"""The small values that bulletins are made of: texts in several languages, countries, days, addresses.

May import pydantic and `schemas`; every model of this package builds on these.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

from schemas.bulletin.countries import COUNTRIES
from schemas.bulletin.limits import (
    FILE_NAME_CHARACTERS_MAX,
    LANGUAGES_MAX,
    LINE_CHARACTERS_MAX,
    PARAGRAPH_CHARACTERS_MAX,
    TEXT_CHARACTERS_MAX,
    URL_CHARACTERS_MAX,
)
from schemas.rules import broken
from schemas.scalars import Word

OUR_LANGUAGES: Final = ("ar", "fr", "en")
"""A text is given in at least one of these."""

# Line breaks and tabs belong to texts, not to lines. Overrides of direction (U+202D, U+202E) would show
# another text than the one that was signed; marks and isolates, which Arabic needs, stay.
_NOT_IN_LINES: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202d\u202e]")
_NOT_IN_TEXTS: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202d\u202e]")

# CommonMark begins raw HTML (section 6.6) with `<` and one of these; only autolinks (6.5) look alike.
_HTML: Final = r"<(?!https?://[^\s<>]*>|[A-Za-z0-9_.+-]+@[A-Za-z0-9_.-]+>)[A-Za-z/!?]"
_HTML_START: Final = re.compile(_HTML)


def _readable(text: str, forbidden: re.Pattern[str]) -> str:
    found = forbidden.search(text)
    if found:
        raise broken("control_character", character=f"U+{ord(found[0]):04X}")
    if not text.strip():
        raise broken("blank")
    return text


def one_line(text: str) -> str:
    """Refuse what is blank, breaks the line, or would show another text than it is."""
    return _readable(text, _NOT_IN_LINES)


def _markdown(text: str) -> str:
    if _HTML_START.search(text):
        raise broken("html")
    return _readable(text, _NOT_IN_TEXTS)


Line = Annotated[str, Field(min_length=1, max_length=LINE_CHARACTERS_MAX), AfterValidator(one_line)]
"""Plain text on one line: a title, a name."""

Paragraph = Annotated[
    str,
    Field(
        min_length=1,
        max_length=PARAGRAPH_CHARACTERS_MAX,
        json_schema_extra={"not": {"pattern": _HTML}},
    ),
    AfterValidator(_markdown),
]
"""CommonMark without HTML, up to a page."""

Text = Annotated[
    str,
    Field(
        min_length=1, max_length=TEXT_CHARACTERS_MAX, json_schema_extra={"not": {"pattern": _HTML}}
    ),
    AfterValidator(_markdown),
]
"""CommonMark without HTML."""

LanguageTag = Annotated[
    str,
    StringConstraints(
        max_length=35,
        pattern=r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*$",
    ),
]
"""BCP 47 in the one spelling of RFC 5646 section 2.1.1: language, script, region, variants."""


def _in_our_languages(texts: dict[str, str]) -> dict[str, str]:
    if not any(language in texts for language in OUR_LANGUAGES):
        raise broken("languages")
    return texts


_LANGUAGES = Field(
    max_length=LANGUAGES_MAX,
    json_schema_extra={"anyOf": [{"required": [language]} for language in OUR_LANGUAGES]},
)

LineMap = Annotated[dict[LanguageTag, Line], _LANGUAGES, AfterValidator(_in_our_languages)]
"""Language → a line."""

ParagraphMap = Annotated[
    dict[LanguageTag, Paragraph], _LANGUAGES, AfterValidator(_in_our_languages)
]
"""Language → CommonMark, up to a page."""

TextMap = Annotated[dict[LanguageTag, Text], _LANGUAGES, AfterValidator(_in_our_languages)]
"""Language → CommonMark."""

LocalId = Word
"""The id of an entity, known within its bulletin only."""


def _country(code: str) -> str:
    if code not in COUNTRIES:
        raise broken("country")
    return code


Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$"), AfterValidator(_country)]
"""ISO 3166-1 alpha-2, upper case."""


def _on_the_calendar(day: str) -> str:
    try:
        date.fromisoformat((day + "-01-01")[:10])
    except ValueError as error:
        raise broken("calendar") from error
    return day


Date = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    AfterValidator(_on_the_calendar),
]
"""A day (RFC 3339 full-date)."""

PartialDate = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$"),
    AfterValidator(_on_the_calendar),
]
"""A day, a month or a year (ISO 8601): of many births only the year is on record."""

PhoneNumber = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{3,14}$")]
"""A telephone number (ITU-T E.164)."""

Url = Annotated[
    str,
    StringConstraints(max_length=URL_CHARACTERS_MAX, pattern=r"^https?://[!#-;=?-\[\]_a-z~]+$"),
]
"""An address on the web, in the characters that RFC 3986 allows."""

MediaType = Annotated[
    str,
    StringConstraints(
        max_length=127, pattern=r"^[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*$"
    ),
]
"""A media type in lower case, without parameters (RFC 6838 section 4.2)."""


def _file_name(name: str) -> str:
    if name in {".", ".."} or "/" in name or "\\" in name:
        raise broken("file_name")
    return name


FileName = Annotated[
    str,
    Field(min_length=1, max_length=FILE_NAME_CHARACTERS_MAX),
    AfterValidator(one_line),
    AfterValidator(_file_name),
]
"""The name of a file, never a path."""
