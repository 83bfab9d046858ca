"""The samples: valid, in their language, marked as a test, and movable in time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.bulletin import InformationReply, InformationRequest, Kind, parse_bulletin
from schemas.loader import dump_json
from schemas.rules import Language
from schemas.samples import PLACEHOLDER_ID, new_bulletin, sample

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


def maps(value: Any) -> list[dict[str, str]]:
    """Find every text that is given by language."""
    if isinstance(value, list):
        return [found for item in value for found in maps(item)]
    if not isinstance(value, dict):
        return []
    if value.keys() <= {"ar", "fr", "en"} and value:
        return [value]
    return [found for item in value.values() for found in maps(item)]


@pytest.mark.parametrize(("kind", "language"), EVERY)
def test_every_text_is_in_the_language(kind: Kind, language: Language) -> None:
    """Whoever reads only the sample's language can read all of it; only names come in others as well."""
    texts = maps(json.loads(sample(kind, language)))
    assert len(texts) >= 4
    assert [text for text in texts if language not in text] == []
    for text in texts:
        if len(text[language]) > 300:
            assert set(text) == {language}


@pytest.mark.parametrize("kind", Kind)
def test_samples_of_a_kind_are_three_stories(kind: Kind) -> None:
    """The three languages of a kind tell of different matters, from different desks."""
    three = [parse_bulletin(sample(kind, language)) for language in LANGUAGES]
    assert len({bulletin.id for bulletin in three}) == 3
    assert len({(bulletin.originator.desk, bulletin.topics) for bulletin in three}) == 3


def test_placeholders_stand_where_an_agency_puts_its_own() -> None:
    """A reply and a withdrawal hold one recognisable id, and no other sample does."""
    for kind, language in EVERY:
        plain = new_bulletin(kind, language, "dz/ops", UUID, NOW)
        held = json.dumps(plain).count(PLACEHOLDER_ID)
        assert held == (kind in {Kind.INFORMATION_REPLY, Kind.WITHDRAWAL}), (kind, language)
    assert new_bulletin(Kind.WITHDRAWAL, "ar", "dz/ops", UUID, NOW)["withdraws"] == PLACEHOLDER_ID
    reply = new_bulletin(Kind.INFORMATION_REPLY, "ar", "dz/ops", UUID, NOW)
    assert reply["in_reply_to"]["id"] == PLACEHOLDER_ID


def test_replies_answer_the_requests_of_their_language() -> None:
    """Read together, request and reply are one thread: every question has its answer."""
    for language in LANGUAGES:
        request = parse_bulletin(sample(Kind.INFORMATION_REQUEST, language))
        reply = parse_bulletin(sample(Kind.INFORMATION_REPLY, language))
        assert isinstance(request, InformationRequest)
        assert isinstance(reply, InformationReply)
        assert {q.id for q in request.questions} == {a.question for a in reply.answers}
        assert reply.in_reply_to.desk == request.originator.desk
        assert request.created < reply.created <= request.deadline


def test_dates_stay() -> None:
    """Days of documents and warrants do not move."""
    plain = new_bulletin(Kind.JUDICIAL_REQUEST, "ar", "dz/ops", UUID, NOW + timedelta(days=1))
    assert plain["issuing_authority"]["issued"] == "2026-10-18"
    assert plain["entities"][0]["born"] == "1984-03"
