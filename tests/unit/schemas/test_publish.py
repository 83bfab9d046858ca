"""The published JSON Schemas: up to date, and neither laxer nor stricter than the models in structure."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from schemas import publish
from schemas.bulletin import FLOATS_UNDER, KINDS, Kind
from schemas.errors import ParseError
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import dump_json, parse
from schemas.samples import sample

Example = Callable[[str], dict[str, Any]]

MODELS: dict[str, type[BaseModel]] = {
    **publish.MESSAGES,
    **{kind.value: model for kind, model in KINDS.items()},
}
STRUCTURAL = {
    "missing",
    "extra_forbidden",
    "enum",
    "literal_error",
    "bool_type",
    "int_type",
    "float_type",
    "string_type",
    "tuple_type",
    "dict_type",
    "model_type",
    "union_tag_invalid",
    "union_tag_not_found",
    "string_pattern_mismatch",
    "string_too_short",
    "too_short",
    "too_long",
    "languages",
    "html",
}
"""What a schema can say as well; `json_null` besides, except for the one null of the protocol."""


@cache
def validator(name: str) -> Draft202012Validator:
    """Give the validator of a published file, read from disk."""
    text = (publish.DIRECTORY / f"{name}.v1.json").read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))


def broken_codes(name: str, plain: dict[str, Any]) -> set[str]:
    """Give the codes of the rules that a message breaks in its model."""
    try:
        parse(
            MODELS[name],
            dump_json(plain),
            TRUST_FILE_BYTES_MAX,
            floats_under=FLOATS_UNDER,
            nullable=frozenset({"release"}),
        )
    except ParseError as error:
        # A schema says nothing of the length of what base64 stands for.
        return {
            "bytes" if one.context.get("field_type") == "Value" else one.code
            for one in error.errors
        }
    return set()


def mutants(value: Any) -> Iterator[Any]:
    """Yield copies of a value that each have one member removed, added or of another type."""
    for holder, key in _nodes(value):
        for change in ("remove", "wrong word", "wrong type", "empty"):
            # Only this one place is copied back, which keeps thousands of mutants cheap.
            before = copy.deepcopy(holder)
            _apply(holder, key, change)
            yield value
            holder.clear()
            if isinstance(holder, dict):
                holder.update(before)
            else:
                holder.extend(before)
    for holder in [value, *(h[k] for h, k in _nodes(value) if isinstance(h[k], dict))]:
        holder["surprise!"] = 1
        yield value
        del holder["surprise!"]


def _apply(holder: Any, key: Any, change: str) -> None:
    if change == "remove":
        del holder[key]
    elif change == "wrong word":
        holder[key] = "no such word!"
    elif change == "empty":
        holder[key] = type(holder[key])()
    else:
        holder[key] = {"a": 1} if isinstance(holder[key], str | bool | int) else "text"


def _nodes(value: Any) -> list[tuple[Any, Any]]:
    """List (holder, key) of every value, of a list only its first item."""
    children = list(value.items()) if isinstance(value, dict) else list(enumerate(value[:1]))
    return [(value, key) for key, _ in children] + [
        node for _, child in children if isinstance(child, dict | list) for node in _nodes(child)
    ]


def test_files_are_up_to_date() -> None:
    """Every published file is what the models say today, and none is left over."""
    assert publish.differing() == []


def test_check_finds_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` fails while a file is missing, stale or left over, and passes after writing."""
    assert publish.main(["--check"], tmp_path) == 1
    (tmp_path / "left_over.v1.json").write_text("{}")
    assert publish.main([], tmp_path) == 0
    assert publish.main(["--check"], tmp_path) == 0
    assert not (tmp_path / "left_over.v1.json").exists()
    header = tmp_path / "header.v1.json"
    header.write_text(header.read_text().replace("routing", "rooting"))
    capsys.readouterr()
    assert publish.main(["--check"], tmp_path) == 1
    assert "header.v1.json differs" in capsys.readouterr().err


def test_heads() -> None:
    """Every file is valid 2020-12 with its own id, title, description and a newline at its end."""
    for name, text in publish.rendered().items():
        schema = json.loads(text)
        Draft202012Validator.check_schema(schema)
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["$id"] == f"https://barid.invalid/schemas/{name}"
        assert schema["title"]
        assert schema["description"]
        assert text.endswith("}\n")


def test_every_file_has_an_example(message_name: str, example: Example) -> None:
    """Each example passes its published schema; together they cover every file."""
    validator(message_name).validate(example(message_name))


def test_examples_cover_every_file() -> None:
    """No file is published that no example is held against."""
    published = {name.removesuffix(".v1.json") for name in publish.schemas()}
    assert published == set(MODELS) | {"problem"}


@pytest.mark.parametrize("language", ["ar", "fr", "en"])
@pytest.mark.parametrize("kind", list(Kind))
def test_samples_pass(kind: Kind, language: Any) -> None:
    """Each sample passes the schema of its kind."""
    validator(kind.value).validate(json.loads(sample(kind, language)))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_schema_and_model_refuse_alike(name: str, example: Example) -> None:
    """What the model refuses for its structure the schema refuses, and never more than the model."""
    judge = validator(name)
    seen = 0
    for mutant in mutants(example(name)):
        codes = broken_codes(name, mutant)
        refused = not judge.is_valid(mutant)
        if codes & STRUCTURAL:
            assert refused, f"laxer than the model ({codes}): {json.dumps(mutant)[:2000]}"
        if refused:
            assert codes, f"stricter than the model: {json.dumps(mutant)[:2000]}"
        seen += bool(codes)
    assert seen >= 5


def test_null_is_refused_but_for_the_release(example: Example) -> None:
    """An optional member is absent in the schemas as well; a sealed part may say `release: null`."""
    assert not validator("threat_bulletin").is_valid(
        example("threat_bulletin") | {"exercise": None}
    )
    assert not validator("header").is_valid(example("header") | {"withdraws": None})
    assert validator("sealed_part").is_valid(example("sealed_part") | {"release": None})
