"""New bulletins to begin with: a sample of the kind, with a fresh id, the time, and the desk.

May import `schemas`; `barid bulletin new` and the demonstration call it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from schemas import samples
from schemas.bulletin import parse_bulletin
from schemas.bulletin.vocabularies import Kind
from schemas.rules import Language


def new_bulletin(
    kind: Kind, desk: str, language: Language, now: datetime, **members: object
) -> bytes:
    """Write a bulletin to begin with, as indented JSON; its status is `test` until somebody changes it.

    Args:
        kind: what it shall be.
        desk: the desk that will send it.
        language: of its texts.
        now: when it was created, UTC and whole seconds.
        members: further members, in place of the sample's; a reply or withdrawal holds
            `samples.PLACEHOLDER_ID` until they say what it is about.

    Raises:
        ParseError: the members given break the schema.
    """
    return write_bulletin(samples.new_bulletin(kind, language, desk, new_id(), now) | members)


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
