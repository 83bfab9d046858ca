"""Whatever bytes arrive, the parser of bulletins answers with a bulletin or a ParseError."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.bulletin import Kind, parse_bulletin
from schemas.errors import FieldError, ParseError
from schemas.loader import dump_json
from schemas.rules import RULES, Language, explain
from schemas.samples import sample

SAMPLES = [sample(kind, language) for kind in Kind for language in ("ar", "fr", "en")]
_LANGUAGES: tuple[Language, ...] = ("ar", "fr", "en")

_VALUES = st.recursive(
    st.booleans()
    | st.integers(-10, 2**54)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.none()
    | st.text(max_size=6)
    | st.sampled_from(
        ["ar", "<b>", "2026-11-24T22:00:00Z", "2026-02-30", "x/y", "\u202e", "[a:b='c']"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def judge(data: bytes) -> None:
    """Parse: an accepted bulletin is read back as written, an error can be said."""
    try:
        bulletin = parse_bulletin(data)
    except ParseError as error:
        say(error.errors)
    else:
        assert parse_bulletin(dump_json(bulletin)) == bulletin


def say(errors: tuple[FieldError, ...]) -> None:
    """Say broken rules in three languages; every code that a bulletin can meet is in the table."""
    for language in _LANGUAGES:
        assert len(explain(errors, language)) == len(errors)
    assert {error.code for error in errors} <= set(RULES)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_arbitrary_bytes(data: bytes) -> None:
    """Bytes of any kind raise nothing but ParseError."""
    judge(data)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SAMPLES), st.data())
def test_damaged_bytes(data: bytes, draw: st.DataObject) -> None:
    """A sample with bytes replaced, removed or inserted is read or refused."""
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        start = draw.draw(st.integers(0, len(damaged)))
        end = min(len(damaged), start + draw.draw(st.integers(0, 3)))
        damaged[start:end] = draw.draw(st.binary(max_size=3))
    judge(bytes(damaged))


def _nodes(value: Any) -> list[tuple[Any, Any]]:
    """List every (holder, key) below a value."""
    children = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, child in children:
        found.append((value, key))
        if isinstance(child, dict | list):
            found += _nodes(child)
    return found


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SAMPLES), st.data())
def test_altered_values(data: bytes, draw: st.DataObject) -> None:
    """A sample with values replaced, removed or added is read or refused, by rules of the table."""
    bulletin = copy.deepcopy(json.loads(data))
    for _ in range(draw.draw(st.integers(1, 3))):
        holder, key = draw.draw(st.sampled_from(_nodes(bulletin)))
        change = draw.draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "replace":
            holder[key] = draw.draw(_VALUES)
        elif change == "remove":
            del holder[key]
        elif isinstance(holder, dict):
            holder[draw.draw(st.text(max_size=4))] = draw.draw(_VALUES)
    try:
        altered = json.dumps(bulletin).encode()
    except RecursionError:
        return
    judge(altered)
