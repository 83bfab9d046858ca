"""What the agency interface answers about alarms: the models of its JSON, and rows shown as them.

May import pydantic, `schemas` and the node's alarms; `alarm_routes` sends them, the command line reads them.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from broker.node.alarms.book import Alarm
from broker.node.alarms.kinds import severity_of
from broker.node.alarms.words import Said, advice_of, title_of
from schemas.scalars import Count, Message, UtcTime


class Texts(Message):
    """One text in the three languages of the exchange."""

    ar: str
    fr: str
    en: str


class AlarmDetail(Message):
    """An alarm: how severe it is, what is wrong, what to do, and what became of it.

    `kind` and `subject` name it when it is acknowledged; `times` counts how often it was seen, `notices`
    how often people were told, `notified` when last; `cleared` says since when it is over.
    """

    kind: str
    subject: str
    severity: str
    title: Texts
    advice: Texts
    text: str
    first_seen: UtcTime
    last_seen: UtcTime
    times: Count
    acknowledged: UtcTime | None = None
    acknowledged_by: str | None = None
    notified: UtcTime | None = None
    notices: Count
    cleared: UtcTime | None = None


class AlarmsView(Message):
    """Alarms: those that wait for a person first, then the most severe; at the end those that are over."""

    alarms: tuple[AlarmDetail, ...]


class AcknowledgedView(Message):
    """How many alarms waited for a person until now, and who acknowledged them."""

    acknowledged: Count
    by: str


class ChannelView(Message):
    """One way of notices, and why the trial did not go out by it."""

    channel: str
    problem: str | None = None


class TrialView(Message):
    """What became of a trial notice, by each way that the settings name."""

    channels: tuple[ChannelView, ...]


def alarm_view(alarm: Alarm) -> AlarmDetail:
    """An alarm with its words."""
    return AlarmDetail(
        kind=alarm.kind,
        subject=alarm.subject,
        severity=str(severity_of(alarm.kind)),
        title=_texts(title_of(alarm.kind)),
        advice=_texts(advice_of(alarm.kind)),
        text=alarm.text,
        first_seen=alarm.first_seen,
        last_seen=alarm.last_seen,
        times=alarm.times,
        acknowledged=alarm.acknowledged,
        acknowledged_by=alarm.acknowledged_by,
        notified=alarm.notified,
        notices=alarm.notices,
        cleared=alarm.cleared,
    )


def _texts(said: Said) -> Texts:
    return Texts(ar=said.ar, fr=said.fr, en=said.en)


ALARM_EXAMPLES: Final[dict[type[BaseModel], dict[str, Any]]] = {
    AlarmsView: {
        "alarms": [
            {
                "kind": "unanswered-urgent",
                "subject": "ly/main 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b tn/main",
                "severity": "critical",
                "title": {
                    "ar": "لم تُسلَّم نشرة عاجلة في موعدها",
                    "fr": "Un bulletin urgent n'a pas été remis à temps",
                    "en": "An urgent bulletin was not delivered in time",
                },
                "advice": {
                    "ar": "اتصل بالمكتب الآن، فإن لم يجب أحد فبنائبه وأرسل إليه النشرة.",
                    "fr": "Appelez le bureau maintenant ; sans réponse, son suppléant.",
                    "en": "Call the desk now; if nobody answers, its deputy.",
                },
                "text": "precedence flash; queued 2026-11-24T22:00:00Z; due 2026-11-24T22:15:00Z;"
                " state accepted; deputy tn/judicial",
                "first_seen": "2026-11-24T22:15:20Z",
                "last_seen": "2026-11-24T22:20:20Z",
                "times": 1,
                "notified": "2026-11-24T22:20:20Z",
                "notices": 2,
            }
        ]
    },
    AcknowledgedView: {"acknowledged": 1, "by": "Salma B."},
    TrialView: {
        "channels": [
            {"channel": "command"},
            {"channel": "smtp", "problem": "the mail server's certificate is not trusted"},
        ]
    },
}
"""Examples of these answers, as the OpenAPI document shows them."""
