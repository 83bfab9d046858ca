"""What the OpenAPI document says of errors: for each route the problem words that it may answer.

May import `schemas`; `routes` declares with it, and a test holds each route to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from schemas.errors import PROBLEMS, Problem
from schemas.problems import MEDIA_TYPE, to_document

PROBLEM_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "title": "Problem",
    "description": "A problem document (RFC 9457); further members say more of this occurrence.",
    "required": ["type", "title", "status", "detail", "advice"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "advice": {"type": "string"},
    },
}

ALWAYS: Final = ("token-missing", "bad-parameter", "internal")
"""What every route may answer."""


def problems(*words: str) -> dict[int | str, dict[str, Any]]:
    """Write the `responses` of a route: by status, each possible problem as an example.

    Args:
        words: beside `ALWAYS`, the problems that the route may answer.
    """
    by_status: dict[int | str, dict[str, Any]] = {}
    for word in (*ALWAYS, *words):
        kind = PROBLEMS[word]
        answer = by_status.setdefault(
            kind.status,
            {
                "description": "",
                "content": {MEDIA_TYPE: {"schema": dict(PROBLEM_SCHEMA), "examples": {}}},
            },
        )
        answer["content"][MEDIA_TYPE]["examples"][word] = {
            "summary": kind.title,
            "value": to_document(Problem(word)),
        }
        named = [answer["description"]] if answer["description"] else []
        answer["description"] = "; ".join([*named, f"{word}: {kind.title}"])
    return by_status
