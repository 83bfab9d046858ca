"""Every rule that a message can break, in the three languages of the exchange.

May import pydantic and `schemas.errors`; models raise `broken(code)`, the loader and every interface
show the words.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, Literal

from pydantic_core import PydanticCustomError

from schemas.errors import FieldError
from schemas.rules.bulletins import BULLETIN
from schemas.rules.kinds import KINDS
from schemas.rules.rule import Rule
from schemas.rules.structure import JSON, PYDANTIC

Language = Literal["ar", "fr", "en"]
"""The languages that Barid itself speaks."""

OURS: Final[Mapping[str, Rule]] = JSON | BULLETIN | KINDS
"""Code → words, of the rules that our own validators raise."""

RULES: Final[Mapping[str, Rule]] = {**PYDANTIC, **OURS}
"""Code → words: the one table of rules."""


def broken(code: str, **context: str | int) -> PydanticCustomError:
    """The error that a validator raises where a rule of the table is broken.

    Args:
        code: one of `RULES`.
        context: what fills the names in braces.
    """
    return PydanticCustomError(code, RULES[code].en, dict(context))


def words(code: str, context: Mapping[str, str], language: Language) -> str | None:
    """Say a rule in a language; None where the table does not have it or the context lacks a name."""
    rule = RULES.get(code)
    if rule is None:
        return None
    template: str = getattr(rule, language)
    if not placeholders(template) <= context.keys():
        return None
    return template.format_map(context)


def placeholders(template: str) -> set[str]:
    """The names in braces of a template."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def explain(errors: Iterable[FieldError], language: Language) -> tuple[FieldError, ...]:
    """Say broken rules in the reader's language; path and value stay as they are.

    Args:
        errors: from a `ParseError`.
        language: ar, fr or en; a rule outside the table keeps its English words.
    """
    return tuple(
        replace(error, rule=words(error.code, error.context, language) or error.rule)
        for error in errors
    )
