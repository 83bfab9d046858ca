"""New bulletins to begin with: a sample of the kind, with a fresh id, the time, and the desk.

May import `schemas`; `barid bulletin new` and the demonstration call it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any

from schemas.bulletin import FLOATS_UNDER, parse_bulletin
from schemas.bulletin.values import OUR_LANGUAGES
from schemas.bulletin.vocabularies import Kind
from schemas.limits import BULLETIN_BYTES_MAX
from schemas.loader import load_json
from schemas.scalars import format_time


def new_bulletin(
    kind: Kind, desk: str, languages: Collection[str], now: datetime, **members: object
) -> bytes:
    """Write a bulletin to begin with, as indented JSON; its status is `test` until somebody changes it.

    Args:
        kind: what it shall be.
        desk: the desk that will send it.
        languages: of `ar`, `fr`, `en`; the others are left out.
        now: when it was created, UTC and whole seconds.
        members: further members, in place of the sample's.

    Raises:
        ParseError: the members given break the schema.
    """
    sample = _read_sample(kind)
    originator = {"desk": desk, **sample.pop("originator")}
    return write_bulletin(
        {
            "version": sample.pop("version"),
            "id": new_id(),
            "kind": sample.pop("kind"),
            "status": sample.pop("status"),
            "created": format_time(now),
            "originator": originator,
            **_only(sample, languages),
            **members,
        }
    )


def new_id() -> str:
    """A fresh UUIDv7."""
    from uuid_utils import uuid7

    return str(uuid7())


def write_bulletin(members: Mapping[str, object]) -> bytes:
    """Write a bulletin as indented JSON, in the order given.

    Raises:
        ParseError: no node would take it.
    """
    text = json.dumps(dict(members), ensure_ascii=False, indent=2, default=float) + "\n"
    parse_bulletin(text.encode())
    return text.encode()


def _read_sample(kind: Kind) -> dict[str, Any]:
    data = files("broker.cli.samples").joinpath(f"{kind}.json").read_bytes()
    sample: dict[str, Any] = load_json(data, BULLETIN_BYTES_MAX, floats_under=FLOATS_UNDER)
    return sample


def _only(value: Any, languages: Collection[str]) -> Any:
    """Keep of each text the languages asked for."""
    if isinstance(value, list):
        return [_only(item, languages) for item in value]
    if not isinstance(value, dict):
        return value
    if value and value.keys() <= set(OUR_LANGUAGES):
        return {language: text for language, text in value.items() if language in languages}
    return {name: _only(member, languages) for name, member in value.items()}
