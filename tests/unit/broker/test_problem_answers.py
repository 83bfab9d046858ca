"""Problems as HTTP answers: what its own headers say beside the document."""

from __future__ import annotations

import pytest

from broker.serving import problem_response
from schemas.errors import Problem


@pytest.mark.parametrize(
    ("problem", "name", "value"),
    [
        (Problem("token-missing"), "www-authenticate", "Bearer"),
        (Problem("token-scope"), "www-authenticate", None),
        (Problem("signature-missing"), "www-authenticate", None),
        (Problem("busy"), "retry-after", "1"),
        (Problem("hub-halted"), "retry-after", "1"),
        (Problem("refusal-rate", retry_after=90), "retry-after", "90"),
        (Problem("not-found"), "retry-after", None),
    ],
    ids=lambda value: getattr(value, "word", value),
)
def test_headers(problem: Problem, name: str, value: str | None) -> None:
    """A client that knows HTTP alone learns how to authenticate, and when to come back."""
    assert problem_response(problem).headers.get(name) == value
