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
    def desk(self) -> str:
        """The desk that sends it."""
        return parse_bulletin(self.document).originator.desk

    @property
    def title(self) -> str:
        """Its title in Arabic, or the first that it has."""
        titles = parse_bulletin(self.document).title
        return titles.get("ar") or next(iter(titles.values()))

    def words(self) -> set[str]:
        """Every Arabic word of four letters or more in its texts."""
        texts = _texts(to_plain(parse_bulletin(self.document)))
        return set().union(*(arabic_words(text) for text in texts))


def arabic_words(text: str) -> set[str]:
    """Every Arabic word of four letters or more."""
    return set(_ARABIC_WORD.findall(text))


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


def sighting(desk: str, now: datetime) -> Story:
    """An incident that cannot wait: armed vehicles on their way to a border. Invented."""
    id_ = new_id()
    document = write_bulletin(
        {
            "version": 1,
            "id": id_,
            "kind": Kind.INCIDENT_REPORT,
            "status": "test",
            "created": format_time(now),
            "originator": {
                "desk": desk,
                "agency": "وزارة الداخلية والأمن العام، قيادة عمليات الحدود الشمالية",
                "contact": "الضابط المناوب، نيامي",
            },
            "purpose": "border_operation",
            "personal_data": False,
            "action": {"act": ["dz/main", "ly/main"], "informed": ["ml/main"]},
            "title": {"ar": "بلاغ عاجل: أربع مركبات مسلحة تتجه من ممر السلفادور نحو الحدود"},
            "summary": {
                "ar": "رصدت دورية استطلاع أربع مركبات رباعية الدفع تحمل أسلحة، تسير دون أضواء شمالا."
                " ينتظر بلوغها خط الحدود في أقل من ساعتين."
            },
            "topics": ["arms", "border_management", "smuggling"],
            "marking": {"tlp": "amber", "classification": "restricted", "caveats": []},
            "evaluation": {"reliability": "A", "credibility": 1},
            "observed": {"from": format_time(now), "precision": "minute"},
            "places": [
                {
                    "name": {"ar": "ممر السلفادور", "fr": "Passe de Salvador"},
                    "country": "NE",
                    "role": "occurrence",
                    "geometry": {"type": "Point", "coordinates": [12.25, 23.25]},
                    "uncertainty_metres": 5000,
                }
            ],
            "incident": "weapon_smuggling_arms",
            "urgency": "immediate",
            "severity": "severe",
            "certainty": "observed",
        }
    )
    return Story(document, id_, "an invented sighting")


def exercise(desk: str, name: str, now: datetime) -> Story:
    """The project's own incident, as a part of an exercise."""
    return sample(Kind.INCIDENT_REPORT, desk, now, status="exercise", exercise=name)


def sample(kind: Kind, desk: str, now: datetime, **members: object) -> Story:
    """The project's own sample of a kind, in Arabic, with some members in place of the sample's."""
    document = new_bulletin(kind, desk, "ar", now, **members)
    return Story(document, parse_bulletin(document).id, "the project's own sample")


def _data_folder() -> Path:
    beside = Path(broker.__path__[0]).parents[1] / "shared" / "data"
    return Path(os.environ.get(DATA_VARIABLE) or beside)
