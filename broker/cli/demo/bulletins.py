"""What is sent in the demonstration, and how it is known again.

May import `broker.cli.drafts`; `story` sends these. The communiqué of Tripoli is read from the data folder
beside the project where there is one; else the project's own sample takes its place.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import broker
from broker.cli.drafts import new_bulletin, new_id, write_bulletin
from schemas.bulletin import parse_bulletin
from schemas.bulletin.vocabularies import Kind
from schemas.limits import BULLETIN_BYTES_MAX
from schemas.loader import to_plain
from schemas.scalars import format_time

DATA_VARIABLE: Final = "BARID_SHARED_DATA"
"""Names another folder of data than the one beside the project."""

COMMUNIQUE_FILE: Final = "tripoli-communique.ar.txt"

_ARABIC_WORD: Final = re.compile("[\u0621-\u064a]{4,}")


@dataclass(frozen=True, slots=True)
class Story:
    """A bulletin of the story: its exact bytes, its id, and where its text comes from."""

    document: bytes
    id: str
    source: str

    @property
    def title(self) -> str:
        """Its title in Arabic, or the first that it has."""
        titles = parse_bulletin(self.document).title
        return titles.get("ar") or next(iter(titles.values()))

    def words(self) -> set[str]:
        """Every Arabic word of four letters or more in its texts."""
        bulletin = to_plain(parse_bulletin(self.document))
        return {word for text in _texts(bulletin) for word in _ARABIC_WORD.findall(text)}


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for member in value.values() for text in _texts(member)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


def communique(desk: str, now: datetime) -> Story:
    """The communiqué of the Tripoli conference, or the project's own sample where it is not at hand."""
    path = _data_folder() / COMMUNIQUE_FILE
    if not path.is_file() or path.stat().st_size > BULLETIN_BYTES_MAX // 2:
        return sample(Kind.THREAT_BULLETIN, desk, now)
    text = path.read_text(encoding="utf-8").strip()
    paragraphs = [paragraph.strip() for paragraph in text.split("\n\n")]
    id_ = new_id()
    document = write_bulletin(
        {
            "version": 1,
            "id": id_,
            "kind": Kind.THREAT_BULLETIN,
            "status": "test",
            "created": format_time(now),
            "originator": {
                "desk": desk,
                "agency": "أمانة المؤتمر الوزاري الإقليمي حول أمن الحدود",
                "contact": "طرابلس",
            },
            "purpose": "border_monitoring",
            "personal_data": False,
            "title": {"ar": paragraphs[1][:300]},
            "summary": {"ar": paragraphs[2]},
            "text": {"ar": text},
            "topics": ["arms", "border_management", "irregular_migration", "organised_crime"],
            "marking": {"tlp": "green", "classification": "unclassified", "caveats": []},
            "places": [
                {
                    "name": {"ar": "طرابلس", "fr": "Tripoli", "en": "Tripoli"},
                    "country": "LY",
                    "geometry": {"type": "Point", "coordinates": [13.19, 32.89]},
                }
            ],
        }
    )
    return Story(document, id_, "the communiqué of the Tripoli conference, 12 March 2012")


def sample(kind: Kind, desk: str, now: datetime) -> Story:
    """The project's own sample of a kind, in Arabic."""
    document = new_bulletin(kind, desk, "ar", now)
    return Story(document, parse_bulletin(document).id, "the project's own sample")


def _data_folder() -> Path:
    beside = Path(broker.__path__[0]).parents[1] / "shared" / "data"
    return Path(os.environ.get(DATA_VARIABLE) or beside)
