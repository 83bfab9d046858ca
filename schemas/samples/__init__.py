"""Sample bulletins, each kind in ar, fr and en; all of it invented.

May import `schemas` and the standard library; `barid bulletin new` and the demo start from them.
Every sample has the status `test`.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any, Final

from schemas.bulletin import Kind, parse_bulletin
from schemas.loader import to_plain
from schemas.rules import Language
from schemas.scalars import format_time, parse_time

PLACEHOLDER_ID: Final = "00000000-0000-7000-8000-000000000000"
"""Stands in the samples of replies and withdrawals for the id of the bulletin that they are about: whoever
starts from one replaces it, and in a reply `in_reply_to.desk` as well."""

_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def sample(kind: Kind, language: Language) -> bytes:
    """Read a sample: the JSON of a valid bulletin of that kind, written in that language."""
    return (files(__name__) / f"{kind.value}.{language}.json").read_bytes()


def new_bulletin(
    kind: Kind, language: Language, desk: str, bulletin_id: str, now: datetime
) -> dict[str, Any]:
    """Make a bulletin to start writing from: the sample with another id, desk and time.

    Args:
        kind: of the sample.
        language: of the sample.
        desk: the originator's desk; an event that the sample's desk owned is this desk's.
        bulletin_id: a fresh UUIDv7.
        now: becomes `created` (UTC, whole seconds); every other time keeps its distance from it.

    Returns:
        plain JSON values, to be edited and parsed again; a reply or withdrawal holds `PLACEHOLDER_ID`.
    """
    bulletin = parse_bulletin(sample(kind, language))
    plain: dict[str, Any] = _moved(to_plain(bulletin), now - bulletin.created)
    plain["id"] = bulletin_id
    plain["originator"]["desk"] = desk
    if bulletin.event is not None and bulletin.event.owner == bulletin.originator.desk:
        plain["event"]["owner"] = desk
    return plain


def _moved(value: Any, by: timedelta) -> Any:
    if isinstance(value, dict):
        return {name: _moved(member, by) for name, member in value.items()}
    if isinstance(value, list):
        return [_moved(item, by) for item in value]
    if isinstance(value, str) and _TIME.fullmatch(value):
        return format_time(parse_time(value) + by)
    return value
