"""Problem documents (RFC 9457): how a `Problem` travels in an HTTP answer, and how it is read back.

May import `schemas` only; hub and node write them, their clients read them.
"""

from __future__ import annotations

from typing import Any

from schemas.errors import PROBLEMS, TYPE_PREFIX, ParseError, Problem
from schemas.loader import load_json

MEDIA_TYPE = "application/problem+json"

PROBLEM_BYTES_MAX = 4 * 1024 * 1024
"""Bytes of a problem document: it may hold the receipts of earlier envelopes."""

_STANDARD = frozenset({"type", "title", "status", "detail", "advice"})
_PARAMETERS = frozenset({"self", "word"})
"""Names that a hostile document could give its members, and that `Problem` itself uses."""


def to_document(problem: Problem) -> dict[str, Any]:
    """Write the members of a problem document; `advice` says what to do next."""
    return {
        "type": problem.type.uri,
        "title": problem.type.title,
        "status": problem.type.status,
        "detail": problem.detail,
        "advice": problem.type.advice,
        **problem.extensions,
    }


def from_document(data: bytes) -> Problem:
    """Read a problem document.

    Raises:
        ParseError: not one of this protocol's problems.
    """
    value = load_json(data, PROBLEM_BYTES_MAX)
    if not isinstance(value, dict) or not str(value.get("type", "")).startswith(TYPE_PREFIX):
        raise ParseError("not a problem document of this protocol")
    word = str(value["type"]).removeprefix(TYPE_PREFIX)
    if word not in PROBLEMS:
        raise ParseError(f"an unknown problem type: {word[:64]!r}")
    extensions = {name: value[name] for name in value if name not in _STANDARD | _PARAMETERS}
    return Problem(word, str(value.get("detail", "")), **extensions)


def of_parse_error(error: ParseError) -> Problem:
    """Say what is wrong with bytes that were sent: each JSON path, rule and value."""
    if not error.errors:
        return Problem("malformed-json", str(error))
    errors = [{"path": e.path, "rule": e.rule, "value": e.value} for e in error.errors]
    return Problem("schema-violation", str(error), errors=errors)
