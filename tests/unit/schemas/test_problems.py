"""Problem documents: written, read back, and refused where they are none."""

from __future__ import annotations

import pytest

from schemas.errors import PROBLEMS, ParseError, Problem
from schemas.loader import dump_json
from schemas.problems import from_document, to_document


@pytest.mark.parametrize("word", PROBLEMS)
def test_a_problem_survives_the_way(word: str) -> None:
    """Word, detail and extensions are read as they were written."""
    read = from_document(
        dump_json(to_document(Problem(word, "what happened", policies=["a-rule"])))
    )
    assert (read.word, read.detail, read.extensions) == (
        word,
        "what happened",
        {"policies": ["a-rule"]},
    )


@pytest.mark.parametrize("name", ["word", "self"])
def test_a_hostile_member_is_passed_over(name: str) -> None:
    """A document cannot give the exception another word, or crash its reader."""
    document = to_document(Problem("busy")) | {name: "id-taken"}
    read = from_document(dump_json(document))
    assert (read.word, read.extensions) == ("busy", {})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type":"about:blank"}',
        b'{"type":"https://barid.invalid/problems/no-such-word"}',
        b'{"type":"https://barid.invalid/problems/busy","type":"x"}',
    ],
)
def test_another_document_is_refused(data: bytes) -> None:
    """What is no problem of this protocol is not taken for one."""
    with pytest.raises(ParseError):
        from_document(data)
