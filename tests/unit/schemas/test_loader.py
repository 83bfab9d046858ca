"""The loader: which bytes are JSON here, and where an error says it stands."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.bulletin import parse_bulletin
from schemas.entries import parse_exchange_entry
from schemas.errors import ParseError
from schemas.limits import INTEGER_MAX, JSON_DEPTH_MAX, JSON_VALUES_MAX
from schemas.loader import dump_json, load_json, parse, parse_part
from schemas.scalars import Count, Message, encode_base64
from schemas.statements import SIGNATURE_BYTES, PayloadType, Statement

LIMIT = 100_000
FLOATS = frozenset({"coordinates"})


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":2}',
        b'{"a":1,"\\u0061":2}',
        b'{"x":{"a":1,"b":2,"a":1}}',
        b"\xef\xbb\xbf{}",
        b"NaN",
        b'{"coordinates":NaN}',
        b"-Infinity",
        b"1.0",
        b"1e2",
        b'{"coordinates":1e400}',
        b'{"coordinates":1e99999999999999999999}',
        b"null",
        b'{"a":null}',
        b'["\xff"]',
        b'["\xed\xa0\x80"]',
        b'["\\ud800"]',
        b'["\\udc00\\ud800"]',
        b'{"\\ud800":1}',
        b'["\x01"]',
        b"[1,]",
        b'{"a":1} x',
        b"{} {}",
        b"[1]\x00",
        b"01",
        b"+1",
        b"'a'",
        b"// a\n1",
        b"",
        b"  ",
        b'{"a"',
        b"9007199254740992",
        b"-9007199254740992",
        b"9" * 5000,
        b"[" * (JSON_DEPTH_MAX + 1) + b"]" * (JSON_DEPTH_MAX + 1),
        b"[" * 5000,
        b'{"a":' * 5000,
    ],
)
def test_refuses(data: bytes) -> None:
    """Bytes that are not strict JSON within the limits are refused with a ParseError."""
    with pytest.raises(ParseError):
        load_json(data, LIMIT, floats_under=FLOATS)


def test_accepts_what_lies_on_the_limits() -> None:
    """The largest integers, the deepest nesting and the last byte are taken."""
    deepest = b"[" * (JSON_DEPTH_MAX - 1) + b"1" + b"]" * (JSON_DEPTH_MAX - 1)
    assert load_json(b"9007199254740991", LIMIT) == INTEGER_MAX
    assert load_json(b"-9007199254740991", LIMIT) == -INTEGER_MAX
    assert load_json(deepest, len(deepest))
    with pytest.raises(ParseError, match="over the limit"):
        load_json(deepest, len(deepest) - 1)


def test_floats_only_below_their_member() -> None:
    """Decimals are taken below `coordinates`, and nowhere else."""
    inside = b'{"coordinates":[[1.5,2]]}'
    assert list(load_json(inside, LIMIT, floats_under=FLOATS)) == ["coordinates"]
    for outside in (b'{"a":1.5}', b'{"coordinates":[1],"b":[1.5]}'):
        with pytest.raises(ParseError):
            load_json(outside, LIMIT, floats_under=FLOATS)
    with pytest.raises(ParseError):
        load_json(inside, LIMIT)


def test_null_only_where_it_is_allowed() -> None:
    """The member named may be null; the same null in a list may not."""
    nullable = frozenset({"release"})
    assert load_json(b'{"release":null}', LIMIT, nullable=nullable) == {"release": None}
    with pytest.raises(ParseError):
        load_json(b'{"release":[null]}', LIMIT, nullable=nullable)


@pytest.mark.parametrize(
    ("data", "path", "code"),
    [
        (b'{"a":[1,{"b":1.5}]}', "$.a[1].b", "json_float"),
        (b'{"a b":null}', '$["a b"]', "json_null"),
        (b'{"a\\"]":null}', '$["a\\"]"]', "json_null"),
        (b"[[],[9007199254740992]]", "$[1][0]", "json_integer"),
    ],
)
def test_says_where(data: bytes, path: str, code: str) -> None:
    """An error names the JSON path of the value and the code of its rule."""
    with pytest.raises(ParseError) as caught:
        load_json(data, LIMIT)
    assert [(error.path, error.code) for error in caught.value.errors] == [(path, code)]


def test_a_hostile_name_does_not_grow_the_error() -> None:
    """A name of 90,000 characters is shortened in the path, and not copied for each value below it."""
    data = b'{"' + b"a" * 90_000 + b'":[' + b"1," * 1000 + b"null]}"
    with pytest.raises(ParseError) as caught:
        load_json(data, LIMIT)
    (error,) = caught.value.errors
    assert error.path.endswith("…[1000]")
    assert len(error.path) < 100


def test_paths_leave_out_tags_of_unions() -> None:
    """What pydantic adds to a location for unions and keys is no part of the JSON path."""
    entry = b'{"type":"acknowledgement","at":"x"}'
    with pytest.raises(ParseError) as caught:
        parse_exchange_entry(entry)
    assert {"$.at", "$.pae", "$.statement"} <= {error.path for error in caught.value.errors}
    bulletin = (
        b'{"kind":"threat_bulletin","title":{"x!":"a"},'
        b'"places":[{"geometry":{"type":"Point","coordinates":[1,91]}}]}'
    )
    with pytest.raises(ParseError) as caught:
        parse_bulletin(bulletin)
    found = {(error.path, error.code) for error in caught.value.errors}
    assert ('$.title["x!"]', "string_pattern_mismatch") in found
    assert ("$.places[0].geometry.coordinates[1]", "less_than_equal") in found
    assert ("$.places[0].name", "missing") in found


class _Pair(Message):
    a: Count
    b: Count | None = None


def test_reads_a_model_strictly() -> None:
    """A model takes its members and nothing else: no unknown one, no text for a number, no true for 1."""
    assert parse(_Pair, b'{"a":1}', LIMIT) == _Pair(a=1)
    for wrong in (b'{"a":1,"c":2}', b'{"a":"1"}', b'{"a":true}', b'{"a":-1}', b"{}", b"[]"):
        with pytest.raises(ParseError):
            parse(_Pair, wrong, LIMIT)


def test_lists_at_most_64_errors() -> None:
    """A thousand broken rules give an error that can still be sent."""
    data = json.dumps({f"x{number}": 1 for number in range(1000)}).encode()
    with pytest.raises(ParseError) as caught:
        parse(_Pair, data, LIMIT)
    assert len(caught.value.errors) == 64


def test_writes_optional_members_as_absent() -> None:
    """A member without a value is not written, and text stays UTF-8."""
    assert dump_json(_Pair(a=1)) == b'{"a":1}'
    assert dump_json({"ar": "بريد"}) == '{"ar":"بريد"}'.encode()


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_JSON = st.recursive(
    st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(_JSON)
def test_reads_what_it_writes(value: object) -> None:
    """Any JSON value within the limits is read as it was written."""
    assert load_json(dump_json(value), LIMIT) == value


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40) | st.text('{}[]",:01e.-aul\\', max_size=20).map(str.encode))
def test_arbitrary_bytes(data: bytes) -> None:
    """Any bytes give the value that Python's own parser reads, or a ParseError."""
    try:
        value = load_json(data, LIMIT)
    except ParseError:
        return
    assert json.loads(data) == value


def test_a_rule_in_a_models_own_words_has_no_mark_of_python() -> None:
    """A validator's sentence comes as it was written."""
    signature = {"keyid": "0" * 64, "sig": encode_base64(bytes(SIGNATURE_BYTES))}
    statement = {"payloadType": PayloadType.RELEASE, "payload": "", "signatures": [signature] * 2}
    with pytest.raises(ParseError) as caught:
        parse(Statement, dump_json(statement), LIMIT)
    assert [error.rule for error in caught.value.errors] == ["each identity signs once"]


@pytest.mark.parametrize("size", [SIGNATURE_BYTES - 1, SIGNATURE_BYTES + 1])
def test_the_size_of_binary_is_told_in_bytes(size: int) -> None:
    """Not in items, nor in characters of base64; the value shown is its size."""
    signature = {"keyid": "0" * 64, "sig": encode_base64(bytes(size))}
    statement = {"payloadType": PayloadType.RELEASE, "payload": "", "signatures": [signature]}
    with pytest.raises(ParseError) as caught:
        parse(Statement, dump_json(statement), LIMIT)
    (error,) = caught.value.errors
    limit = "least" if size < SIGNATURE_BYTES else "most"
    assert error.rule == f"must have at {limit} {SIGNATURE_BYTES} bytes"
    assert (error.path, error.value) == ("$.signatures[0].sig", f"{size} bytes")


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        (b"{}", "$.payload → $.payloadType", "$.payload → $.payloadType: this member is required"),
        (b'{"a":null}', "$.payload → $.a", "$.payload → $.a: an optional member is absent"),
        (b"{", "", "payload: not strict JSON"),
    ],
)
def test_errors_of_a_part_say_which(data: bytes, path: str, message: str) -> None:
    """What another message carries as bytes is told apart from the message itself."""
    with pytest.raises(ParseError) as caught:
        parse_part(Statement, "payload", data, LIMIT)
    assert str(caught.value).startswith(message)
    assert [error.path for error in caught.value.errors[:1]] == ([path] if path else [])


def test_too_many_values_are_refused_before_they_are_made() -> None:
    """A text of small values takes a hundred times its size: one value under the limit is read."""
    for item in ("{}", "[]", "1", '""'):
        structure = item.count("{") + item.count("[") + 1
        fits = (JSON_VALUES_MAX - 1) // structure
        assert load_json(f"[{','.join([item] * fits)}]".encode(), 10**7)
        with pytest.raises(ParseError, match="more than 100000 values"):
            load_json(f"[{','.join([item] * (fits + 2))}]".encode(), 10**7)
