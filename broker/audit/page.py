"""A report as one page for people: findings first, charts as SVG, in English, French or Arabic.

May import Jinja2, Babel and the auditor's own rooms; the command line writes the file. Every value is
escaped, there is no script, and the page's own Content-Security-Policy lets it ask nobody for anything.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any, Final

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from broker.audit import templates
from broker.audit.page_texts import LANGUAGES, TEXTS, TOPICS
from broker.audit.rule_texts import RULE_TEXTS
from broker.audit.rules import RULES
from schemas.errors import ConfigurationError
from schemas.scalars import parse_time

_LOCALES: Final = {"en": "en_GB", "fr": "fr_TN", "ar": "ar_TN"}
"""Dates and numbers as ministries of the region write them: with Western digits in Arabic as well."""

_DAY: Final = "dd/MM/yyyy"
"""A locale's own short form would put marks of direction into it, which no page of ours holds."""

_DAYS_SHOWN_MAX: Final = 92
_PAIRS_SHOWN_MAX: Final = 40
_CHANGES_SHOWN_MAX: Final = 200
_UNSEEN: Final = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
"""What is not seen, or turns the text around it: what a member wrote must not rearrange a page."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: its place and size, and what stands beside it."""

    label: str
    value: str
    offset: float
    length: float


def render_page(report: Mapping[str, Any], language: str) -> str:
    """Write the page of a report.

    Args:
        report: as `AuditReport.to_plain` gives it, or read from its JSON.
        language: `en`, `fr` or `ar`.

    Returns:
        HTML, whole in itself.

    Raises:
        ConfigurationError: no such language, or the report is none.
    """
    if language not in LANGUAGES:
        raise ConfigurationError(f"{language} is none of {', '.join(LANGUAGES)}")
    style = files(templates).joinpath("report.css").read_text("utf-8")
    source = files(templates).joinpath("report.html.j2").read_text("utf-8")
    words = _Words(language, report.get("names", {}))
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=_put_in
    )
    try:
        return environment.from_string(source).render(
            lang=language,
            dir="rtl" if language == "ar" else "ltr",
            style=style,
            style_hash=_hash(style),
            w=words,
            report=report,
            **_charts(report, words),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"this is no report of an audit: {error!r}") from error


def _put_in(value: object) -> object:
    """What stands in the page in place of a value: all but our own markup may be somebody else's text."""
    return value if isinstance(value, Markup) else shown(str(value))


def shown(text: str) -> str:
    """A text on one line, without what nobody sees."""
    return _UNSEEN.sub("\ufffd", text)


def _hash(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


class _Words:
    """What the template says, in one language."""

    def __init__(self, language: str, names: Mapping[str, Mapping[str, str]]) -> None:
        self.language = language
        self._at = LANGUAGES.index(language)
        self._locale = _LOCALES[language]
        self._names = names

    def text(self, name: str, **values: object) -> str:
        """A text by its name, with values put in."""
        return TEXTS[name][self._at].format(**values)

    def rule(self, word: str) -> str:
        """What a finding of a rule means."""
        if self._at == 0 or word not in RULE_TEXTS:
            return RULES[word].meaning if word in RULES else word
        return RULE_TEXTS[word][self._at - 1]

    def topic(self, word: str) -> str:
        """The name of a topic; the word itself where it is a later version's."""
        return TOPICS[word][self._at] if word in TOPICS else word

    def precedence(self, word: str) -> str:
        """The name of a precedence."""
        return TEXTS[word][self._at] if word in TEXTS else word

    def member(self, word: str) -> str:
        """The name of a member, with its id."""
        named = self._names.get(word)
        return f"{named[self.language]} ({word})" if named else word

    def number(self, value: float) -> str:
        """A number as it is written here."""
        return str(format_decimal(value, locale=self._locale))

    def moment(self, text: str) -> str:
        """A time as it is written here."""
        return str(format_datetime(parse_time(text), f"{_DAY} HH:mm", locale=self._locale))

    def day(self, text: str) -> str:
        """A day as it is written here."""
        return str(format_date(date.fromisoformat(text), _DAY, locale=self._locale))


def _charts(report: Mapping[str, Any], words: _Words) -> dict[str, Any]:
    figures = report.get("figures") or {"by_day": {}, "by_topic": {}, "by_pair": [], "refused": []}
    days = list(figures["by_day"].items())[-_DAYS_SHOWN_MAX:]
    pairs = figures["by_pair"][:_PAIRS_SHOWN_MAX]
    return {
        "figures": figures,
        "days": _bars([(words.day(day), count) for day, count in days], words),
        "topics": _bars([(words.topic(t), n) for t, n in figures["by_topic"].items()], words),
        "pairs": pairs,
        "pairs_total": len(figures["by_pair"]),
        "most": max([pair["envelopes"] for pair in pairs], default=1),
        "late": report.get("late") or {"by_precedence": {}, "listed": []},
        "counts": report.get("counts") or {"unjudged": 0, "undelivered": 0, "entries": {}},
        "total": sum(report["findings_by_rule"].values()),
        "purged": report.get("purged", []),
        "changes": report["directory_changes"]["listed"][-_CHANGES_SHOWN_MAX:],
    }


def _bars(rows: Sequence[tuple[str, int]], words: _Words) -> list[Bar]:
    """Bars from zero on one scale: places and lengths in hundredths of the chart."""
    longest = max([value for _, value in rows], default=0) or 1
    step = 100 / max(1, len(rows))
    return [
        Bar(label, words.number(value), number * step, 100 * value / longest)
        for number, (label, value) in enumerate(rows)
    ]
