"""One rule in the three languages of the exchange.

May import the standard library only; the tables of this package are made of it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule says in each language; names in braces are filled from the error's context."""

    en: str
    fr: str
    ar: str
