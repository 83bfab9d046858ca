"""Indicators: STIX 2.1 patterns that a recipient can match.

May import pydantic and `schemas`; the common fields use it. The full grammar belongs to the software that
matches: here a pattern is bounded and has the right shape.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from schemas.bulletin.limits import PATTERN_CHARACTERS_MAX
from schemas.bulletin.values import ParagraphMap
from schemas.rules import broken
from schemas.scalars import Message, UtcTime

# A string that never ends matches too, up to the end, so that the search stays linear.
_STRING: Final = re.compile(r"'(?:[^'\\]|\\.)*+('|\Z)", re.DOTALL)
_COMPARISON: Final = re.compile(r"\[[\s(]*(?:NOT\s+|EXISTS\s+)*[a-z0-9-]+:[A-Za-z0-9_']")
_CLOSES: Final = {")": "(", "]": "["}
_NESTING_MAX: Final = 32


def _balanced(text: str) -> bool:
    open_brackets: list[str] = []
    for character in text:
        if character in "([":
            open_brackets.append(character)
            if len(open_brackets) > _NESTING_MAX:
                return False
        elif character in _CLOSES and (
            not open_brackets or open_brackets.pop() != _CLOSES[character]
        ):
            return False
    return not open_brackets


def _shaped(pattern: str) -> str:
    """Refuse what cannot be an observation expression (STIX 2.1 section 9.2)."""
    # Each string becomes an empty one; one that never ends leaves a single quote.
    bare = _STRING.sub(r"'\1", pattern)
    strings_end = "'" not in bare.replace("''", "")
    if not (strings_end and _balanced(bare) and _COMPARISON.search(bare)):
        raise broken("stix_pattern")
    if not bare.lstrip().startswith(("[", "(")):
        raise broken("stix_pattern")
    return pattern


StixPattern = Annotated[
    str, Field(min_length=1, max_length=PATTERN_CHARACTERS_MAX), AfterValidator(_shaped)
]
"""A STIX 2.1 pattern, as `[email-addr:value = 'x@example.org']`."""


class Indicator(Message):
    """A pattern, what a match means, and until when it is worth matching."""

    pattern: StixPattern
    meaning: ParagraphMap | None = None
    valid_until: UtcTime | None = None
