"""A report's page: findings first, complete in three languages, and harmless whatever a member wrote."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from broker.audit.page import render_page, shown
from broker.audit.page_texts import LANGUAGES, TEXTS, TOPICS
from broker.audit.rule_texts import RULE_TEXTS
from broker.audit.rules import RULES
from schemas.bulletin.vocabularies import Precedence, Topic
from schemas.errors import ConfigurationError
from tests.unit.audit.world import AuditWorld, audit

HOSTILE = "<script>alert(1)</script>\"' onload=x \u202egnp.exe\u0000 &amp;"


class Reader(HTMLParser):
    """Reads a page as a browser does: its tags, their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.words.append(data)

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join(self.words)


@pytest.fixture
def plain(story: AuditWorld, tmp_path: Path) -> dict[str, Any]:
    """A clean report of a real audit."""
    return dict(json.loads(audit(story.served(), story, tmp_path).to_json()))


@pytest.fixture
def worse(story: AuditWorld, tmp_path: Path) -> dict[str, Any]:
    """A report with findings."""
    hub = story.served()
    hub.logs["exchange"].openings[2] = None
    return dict(json.loads(audit(hub, story, tmp_path / "worse").to_json()))


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "worse").mkdir()


def test_every_text_is_there_in_three_languages() -> None:
    """With the same values in each; every rule, topic and precedence has its words."""
    fields = Formatter()
    for name, texts in TEXTS.items():
        named = {tuple(sorted(f for _, f, *_ in fields.parse(text) if f)) for text in texts}
        assert len(texts) == len(LANGUAGES), name
        assert len(named) == 1, name
        assert all(text.strip() for text in texts), name
        assert re.search("[\u0600-\u06ff]", texts[2]), name
    assert set(RULE_TEXTS) == set(RULES)
    assert set(TOPICS) == {str(topic) for topic in Topic}
    assert {str(each) for each in Precedence} <= set(TEXTS)
    for french, arabic in RULE_TEXTS.values():
        assert french.endswith(".")
        assert re.search("[\u0600-\u06ff]", arabic)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_clean_page(plain: dict[str, Any], language: str) -> None:
    """It says so, is in its language and direction, and shows what was verified."""
    page = Reader(render_page(plain, language))
    at = LANGUAGES.index(language)
    html = next(attributes for tag, attributes in page.tags if tag == "html")
    assert html == {"lang": language, "dir": "rtl" if language == "ar" else "ltr"}
    assert TEXTS["clean"][at] in page.text
    assert TEXTS["found_means"][at] not in page.text
    assert TEXTS["unwitnessed"][at] in page.text
    for log in plain["logs"].values():
        assert log["root"] in page.text
    for topic in plain["figures"]["by_topic"]:
        assert TOPICS[topic][at] in page.text
    assert "(dz)" in page.text
    # Not even a date brings a mark of direction along.
    assert "\ufffd" not in page.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_findings_come_first(worse: dict[str, Any], language: str) -> None:
    """Before anything else, in red and in words; nobody takes it for a clean page."""
    text = render_page(worse, language)
    page, at = Reader(text), LANGUAGES.index(language)
    assert TEXTS["found_means"][at] in page.text
    assert TEXTS["clean"][at] not in page.text
    assert 'class="verdict bad" role="alert"' in text
    meaning = RULES["opening-missing"].meaning if at == 0 else RULE_TEXTS["opening-missing"][at - 1]
    assert meaning in page.text
    assert page.text.index(meaning) < page.text.index(TEXTS["verified"][at])


def test_hostile_texts_stay_texts(worse: dict[str, Any]) -> None:
    """Script, quotes, entities, what turns the text around: in names, details, topics, problems, changes."""
    worse["exchange"] = HOSTILE
    worse["findings"][0]["detail"] = worse["findings"][0]["rule"] = HOSTILE
    worse["names"] = {"dz": dict.fromkeys(LANGUAGES, HOSTILE)}
    worse["figures"]["by_topic"] = {HOSTILE: 1}
    worse["figures"]["refused"] = [{"member": HOSTILE, "problem": HOSTILE, "envelopes": 1}]
    worse["remarks"] = [{"log": "exchange", "word": HOSTILE, "text": HOSTILE}]
    for change in worse["directory_changes"]["listed"]:
        for each in change["changes"]:
            each["text"] = HOSTILE
    for language in LANGUAGES:
        text = render_page(worse, language)
        page = Reader(text)
        assert {tag for tag, _ in page.tags} & {
            "script",
            "img",
            "iframe",
            "object",
            "a",
            "link",
        } == set()
        assert not [name for _, attributes in page.tags for name in attributes if name[:2] == "on"]
        assert "\u202e" not in text
        assert "<script>alert(1)</script>" in page.text


def test_nothing_is_asked_of_anybody(plain: dict[str, Any]) -> None:
    """No address in it, and a policy that would allow none; the one style is the one that it names."""
    text = render_page(plain, "en")
    page = Reader(text)
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert not [a for _, a in page.tags if {"src", "href", "style", "srcset"} & a.keys()]
    assert "url(" not in style[1]


def test_what_is_not_seen_is_shown_as_something() -> None:
    """Bidi controls, zero widths and control characters."""
    assert shown("a\u202eb\u200bc\u0000d") == "a\ufffdb\ufffdc\ufffdd"


@pytest.mark.parametrize("report", [{}, {"exchange": "x", "findings_by_rule": []}, {"at": 1}])
def test_what_is_no_report(report: dict[str, Any]) -> None:
    """It is told, not half shown."""
    with pytest.raises(ConfigurationError, match="no report of an audit"):
        render_page(report, "en")
