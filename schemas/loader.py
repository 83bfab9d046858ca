"""The one JSON loader: strict bytes in, plain values or a frozen model out.

May import jiter, pydantic and `schemas` only; every byte of JSON that enters Barid passes here, since
pydantic alone keeps the last of two equal names. Nothing here re-serialises what was signed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final, TypeVar

import jiter
from pydantic import BaseModel, ValidationError

from schemas.errors import FieldError, ParseError
from schemas.limits import INTEGER_MAX, JSON_DEPTH_MAX, JSON_VALUES_MAX
from schemas.rules import words

_VALUE_SHOWN_CHARACTERS: Final = 80
"""Characters of an offending value or name that an error shows."""

_ERRORS_SHOWN: Final = 64
"""Broken rules that one error lists: more than a person mends at once."""

_BYTES_CODES: Final = {"too_short": "bytes_too_short", "too_long": "bytes_too_long"}

_STRUCTURE: Final = (b",", b"[", b"{")

_PLAIN_NAME: Final = re.compile(r"[^\W\d]\w*")
_ENUM_MEMBER: Final = re.compile(r"<[\w.]+: (.*?)>")

Model = TypeVar("Model", bound=BaseModel)


def load_json(
    data: bytes,
    limit_bytes: int,
    *,
    floats_under: frozenset[str] = frozenset(),
    nullable: frozenset[str] = frozenset(),
) -> Any:
    """Read strict JSON (RFC 8259, with the numbers of RFC 7493).

    Args:
        data: the exact bytes received, UTF-8.
        limit_bytes: more than this is refused before parsing.
        floats_under: member names below which finite decimals are allowed (GeoJSON `coordinates`).
        nullable: member names that may be null; everywhere else an optional member is absent.

    Raises:
        ParseError: too large, too many values, not JSON, a double name, a float, a null, an integer beyond
            2^53 - 1, nested too deep.
    """
    if len(data) > limit_bytes:
        raise ParseError(f"{len(data)} bytes are over the limit of {limit_bytes}")
    # Before anything is made of them: a text of small values takes a hundred times its size.
    if sum(map(data.count, _STRUCTURE)) > JSON_VALUES_MAX:
        raise ParseError(f"it has more than {JSON_VALUES_MAX} values")
    try:
        value = jiter.from_json(
            data,
            allow_inf_nan=False,
            catch_duplicate_keys=True,
            cache_mode="none",
            float_mode="decimal",
            partial_mode=False,
        )
    except ValueError as error:
        raise ParseError(f"not strict JSON: {error}") from error
    _Checker(floats_under, nullable).check(value, None)
    return value


_Path = tuple["_Path", str | int] | None
"""Where a value stands: its parent's path and its own name or index. Written out only when refused, since
a long name would otherwise be copied once for each value below it."""


@dataclass(frozen=True, slots=True)
class _Checker:
    floats_under: frozenset[str]
    nullable: frozenset[str]

    def check(
        self, value: Any, path: _Path, depth_left: int = JSON_DEPTH_MAX, *, floats: bool = False
    ) -> None:
        if depth_left == 0:
            raise _refused(path, "…", "json_depth", levels=str(JSON_DEPTH_MAX))
        # Nothing is wrong with a text, which most values are, unless it stands too deep.
        texts = depth_left > 1
        if isinstance(value, dict):
            for name, member in value.items():
                if (texts and type(member) is str) or (member is None and name in self.nullable):
                    continue
                allowed = floats or name in self.floats_under
                self.check(member, (path, name), depth_left - 1, floats=allowed)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if texts and type(item) is str:
                    continue
                self.check(item, (path, index), depth_left - 1, floats=floats)
        elif value is None:
            raise _refused(path, "null", "json_null")
        elif isinstance(value, Decimal) and not floats:
            raise _refused(path, str(value), "json_float")
        elif isinstance(value, Decimal) and not math.isfinite(float(value)):
            raise _refused(path, str(value), "json_finite")
        elif isinstance(value, int) and abs(value) > INTEGER_MAX:
            raise _refused(path, str(value), "json_integer", limit=str(INTEGER_MAX))


def _refused(path: _Path, value: str, code: str, **context: str) -> ParseError:
    steps: list[str | int] = []
    while path is not None:
        path, step = path
        steps.insert(0, step)
    rule = words(code, context, "en") or code
    error = FieldError(_json_path(steps), rule, _shortened(value), code, context)
    return ParseError(f"{error.path}: {error.rule}", (error,))


def _shortened(text: str) -> str:
    return text if len(text) <= _VALUE_SHOWN_CHARACTERS else text[:_VALUE_SHOWN_CHARACTERS] + "…"


def _json_path(steps: Iterable[str | int]) -> str:
    """Write a JSON path (RFC 9535); a name that is no plain word stands in brackets."""
    path = "$"
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        elif _PLAIN_NAME.fullmatch(step):
            path += f".{_shortened(step)}"
        else:
            path += f"[{json.dumps(_shortened(step), ensure_ascii=False)}]"
    return path


def parse(
    model: type[Model],
    data: bytes,
    limit_bytes: int,
    *,
    floats_under: frozenset[str] = frozenset(),
    nullable: frozenset[str] = frozenset(),
) -> Model:
    """Read strict JSON into a frozen model: `load_json` first, then pydantic in strict JSON mode.

    Raises:
        ParseError: with one `FieldError` for each broken rule (JSON path, rule, value).
    """
    value = load_json(data, limit_bytes, floats_under=floats_under, nullable=nullable)
    try:
        # By their names in JSON alone: `from_` is Python's.
        return model.model_validate_json(data, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        found = error.errors(include_url=False)
        items = [each for each in found if not _is_echo(each)] or found
        errors = tuple(_field_error(item, value) for item in items[:_ERRORS_SHOWN])
        raise ParseError(f"{errors[0].path}: {errors[0].rule}", errors) from error


def parse_part(model: type[Model], part: str, data: bytes, limit_bytes: int) -> Model:
    """Read JSON that another message carries as bytes: as `parse`, and errors name that member too.

    Args:
        part: the member, as `payload`: paths then read `$.payload → $.topics`.

    Raises:
        ParseError: as `parse`.
    """
    try:
        return parse(model, data, limit_bytes)
    except ParseError as error:
        within = f"$.{part} → "
        errors = tuple(replace(each, path=within + each.path) for each in error.errors)
        message = f"{within}{error}" if errors else f"{part}: {error}"
        raise ParseError(message, errors) from error


def _is_echo(item: Any) -> bool:
    """Whether a list is called too short only because pydantic did not count its broken items."""
    found = item.get("input")
    if item["type"] != "too_short" or not isinstance(found, list | dict):
        return False
    return len(found) >= int(item["ctx"]["min_length"])


def _field_error(item: Any, value: Any) -> FieldError:
    code: str = item["type"]
    context = {name: _context_text(entry) for name, entry in item.get("ctx", {}).items()}
    shown = json.dumps(item.get("input"), ensure_ascii=False, default=str)
    if code in _BYTES_CODES and isinstance(item.get("input"), str):
        # Text whose items are counted is binary that was decoded.
        code, shown = _BYTES_CODES[code], f"{context['actual_length']} bytes"
    return FieldError(
        path=_json_path(_steps_within(value, item["loc"])),
        rule=words(code, context, "en") or item["msg"].removeprefix("Value error, "),
        value=_shortened(shown),
        code=code,
        context=context,
    )


def _steps_within(value: Any, location: Sequence[str | int]) -> Iterator[str | int]:
    """Leave out of pydantic's location what names no value: tags of unions, and its mark for keys."""
    for position, step in enumerate(location):
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            # The last step names a value even where that value is missing.
            if position < len(location) - 1 or step == "[key]":
                continue
        yield step


def _context_text(entry: Any) -> str:
    """Write one entry of an error's context without Python's own marks around words."""
    text = f"{entry:g}" if isinstance(entry, float) else str(entry)
    return _ENUM_MEMBER.sub(r"\1", text).replace("'", "").replace(" or ", ", ")


def dump_json(value: Any) -> bytes:
    """Write compact UTF-8 JSON: what is then signed, hashed or sent as these exact bytes.

    Args:
        value: plain JSON values, or a model of `schemas` (optional members without a value stay absent).
    """
    if isinstance(value, BaseModel):
        return value.model_dump_json(by_alias=True, exclude_none=True).encode()
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def to_plain(model: BaseModel) -> dict[str, Any]:
    """A model as plain JSON values; optional members without a value stay absent."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
