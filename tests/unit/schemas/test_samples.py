"""The samples: valid, in their language, marked as a test, and movable in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from schemas.bulletin import Kind, parse_bulletin
from schemas.loader import dump_json
from schemas.rules import Language
from schemas.samples import new_bulletin, sample

LANGUAGES: tuple[Language, ...] = ("ar", "fr", "en")
EVERY = [(kind, language) for kind in Kind for language in LANGUAGES]
NOW = datetime(2027, 3, 1, 6, 30, tzinfo=UTC)
UUID = "019ab5c0-2a00-7a11-8c01-5f0e6d7a00ff"


@pytest.mark.parametrize(("kind", "language"), EVERY)
def test_valid(kind: Kind, language: Language) -> None:
    """Each sample is a valid bulletin of its kind with title, summary and text in its language."""
    bulletin = parse_bulletin(sample(kind, language))
    assert (bulletin.kind, bulletin.status) == (kind, "test")
    assert bulletin.text is not None
    assert [set(part) for part in (bulletin.title, bulletin.summary, bulletin.text)] == [
        {language}
    ] * 3
    assert ("\u0627" in bulletin.text[language]) == (language == "ar")


@pytest.mark.parametrize(("kind", "language"), EVERY)
def test_new_bulletin(kind: Kind, language: Language) -> None:
    """A new bulletin has its own id, desk and time, and every time keeps its distance."""
    old = parse_bulletin(sample(kind, language))
    new = parse_bulletin(dump_json(new_bulletin(kind, language, "dz/ops", UUID, NOW)))
    assert (new.id, new.originator.desk, new.created) == (UUID, "dz/ops", NOW)
    assert new.title == old.title
    for member in ("review_by", "retain_until", "valid_until"):
        before, after = getattr(old, member), getattr(new, member)
        assert (after and after - NOW) == (before and before - old.created)
    if new.event is not None:
        assert new.event.owner == "dz/ops"


def test_dates_stay() -> None:
    """Days of documents and warrants do not move."""
    plain = new_bulletin(Kind.JUDICIAL_REQUEST, "ar", "dz/ops", UUID, NOW + timedelta(days=1))
    assert plain["issuing_authority"]["issued"] == "2026-10-18"
    assert plain["entities"][0]["born"] == "1984-03"
