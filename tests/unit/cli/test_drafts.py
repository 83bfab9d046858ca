"""New bulletins from the samples."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from broker.cli.drafts import new_bulletin
from schemas.bulletin import parse_bulletin
from schemas.bulletin.values import OUR_LANGUAGES
from schemas.bulletin.vocabularies import Kind, Status
from schemas.errors import ParseError
from schemas.rules import Language

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize("language", OUR_LANGUAGES)
@pytest.mark.parametrize("kind", Kind)
def test_sample_of_every_kind_is_a_bulletin(kind: Kind, language: Language) -> None:
    """What `bulletin new` writes passes the check, in each language."""
    bulletin = parse_bulletin(new_bulletin(kind, "ly/main", language, NOW))
    assert (bulletin.kind, bulletin.originator.desk, bulletin.created) == (kind, "ly/main", NOW)
    assert set(bulletin.title) == {language}


def test_new_bulletin_is_not_taken_for_real() -> None:
    """Whoever sends a sample as it is sends a test."""
    written = new_bulletin(Kind.THREAT_BULLETIN, "ly/main", "ar", NOW)
    assert parse_bulletin(written).status is Status.TEST


def test_each_new_bulletin_has_its_own_id() -> None:
    """Two bulletins made in one second are two."""
    ids = {
        json.loads(new_bulletin(Kind.THREAT_BULLETIN, "ly/main", "ar", NOW))["id"]
        for _ in range(20)
    }
    assert len(ids) == 20


def test_members_replace_those_of_the_sample() -> None:
    """A caller's own title stands in place of the sample's."""
    title = {"ar": "عنوان"}
    written = new_bulletin(Kind.THREAT_BULLETIN, "ly/main", "ar", NOW, title=title)
    assert parse_bulletin(written).title == title


def test_wrong_member_is_refused() -> None:
    """A draft that no node would take is not written."""
    with pytest.raises(ParseError, match="colour"):
        new_bulletin(Kind.THREAT_BULLETIN, "ly/main", "ar", NOW, colour="red")
