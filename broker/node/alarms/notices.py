"""Notices: alarms told to a person who is not at the screen, again and again until somebody acknowledges.

May import `broker.settings`, `schemas` and the node's own rooms; `rounds` sends what is due, the agency
interface a trial. A notice holds ids, desks, words of Barid's own and times, never content.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from broker.db import reading, writing
from broker.node.alarms.book import SUBJECTS_MAX, Alarm, list_alarms, note_sent, sent_by
from broker.node.alarms.channels import Channel, CommandChannel, Notice, NoticeFailed, SmtpChannel
from broker.node.alarms.conditions import Failing
from broker.node.alarms.kinds import FACTS_ONLY, Severity, severity_of
from broker.node.alarms.words import SEVERITIES, Said, advice_of, title_of
from broker.node.pacing import Backoff
from broker.settings import NodeSettings, Notices, RepeatSeconds
from schemas.loader import dump_json
from schemas.rules import Language
from schemas.scalars import format_time

NOTICE_VERSION: Final = 1
"""Of the JSON that a command reads."""

ALARMS_TOLD_MAX: Final = 50
"""Alarms named in one notice, the most severe first; the others are counted."""

RETRY_BASE_SECONDS: Final = 30.0
RETRY_CAP_SECONDS: Final = 600.0
"""Longest pauses after a notice could not be sent, the first and the last: mail servers come back."""

_WAITING_MAX: Final = 50 * SUBJECTS_MAX
"""More alarms than there can be: every kind's most."""

_FACTS: Final = frozenset(str(kind) for kind in FACTS_ONLY)

_TRIAL: Final = Said(
    "This is a trial notice: nothing is wrong.",
    "Ceci est un avis d'essai : tout va bien.",
    "هذا إشعار تجريبي: لا خلل هناك.",
)
_MORE: Final = Said("and {more} more", "et {more} autres", "و{more} غيرها")
_SINCE: Final = Said("since {since}", "depuis {since}", "منذ {since}")
_ACKNOWLEDGE: Final = Said(
    "This comes again until somebody acknowledges: barid alarms acknowledge",
    "Cet avis revient jusqu'à ce que quelqu'un confirme : barid alarms acknowledge",
    "يتكرر هذا الإشعار حتى يقرّ به أحد: barid alarms acknowledge",
)


def write_notice(
    settings: NodeSettings, language: Language, alarms: Sequence[Alarm], now: datetime
) -> Notice:
    """Write what people are told. Without alarms it is a trial.

    Args:
        settings: which member of which exchange tells.
        language: of the texts.
        alarms: those that are due, the most severe first.
        now: UTC, whole seconds.
    """
    told, more = alarms[:ALARMS_TOLD_MAX], len(alarms) - len(alarms[:ALARMS_TOLD_MAX])
    document = {
        "v": NOTICE_VERSION,
        "exchange": settings.exchange,
        "member": settings.member,
        "at": format_time(now),
        "trial": not alarms,
        "alarms": [_plain(alarm, language) for alarm in told],
        "more": more,
    }
    head = f"[Barid {settings.member}] "
    if not alarms:
        text = _TRIAL.in_(language)
        return Notice(head + text, text + "\n", dump_json(document), now)
    first = title_of(told[0].kind).in_(language)
    severity = SEVERITIES[severity_of(told[0].kind)].in_(language)
    others = f" (+{len(alarms) - 1})" if len(alarms) > 1 else ""
    blocks = [_paragraph(alarm, language) for alarm in told]
    if more:
        blocks.append(_MORE.in_(language).format(more=more))
    blocks.append(_ACKNOWLEDGE.in_(language))
    line = f"{head}{severity}: {first}{others}"
    return Notice(line, "\n\n".join(blocks) + "\n", dump_json(document), now)


def _plain(alarm: Alarm, language: Language) -> dict[str, Any]:
    facts = {"facts": alarm.text} if alarm.kind in _FACTS else {}
    return {
        "kind": alarm.kind,
        "severity": str(severity_of(alarm.kind)),
        "title": title_of(alarm.kind).in_(language),
        "advice": advice_of(alarm.kind).in_(language),
        "subject": alarm.subject,
        **facts,
        "first_seen": format_time(alarm.first_seen),
        "last_seen": format_time(alarm.last_seen),
        "times": alarm.times,
        "notices": alarm.notices,
    }


def _paragraph(alarm: Alarm, language: Language) -> str:
    severity = SEVERITIES[severity_of(alarm.kind)].in_(language)
    since = _SINCE.in_(language).format(since=format_time(alarm.first_seen))
    lines = [
        f"{severity}: {title_of(alarm.kind).in_(language)}",
        f"{alarm.kind}  {alarm.subject}  {since}",
        *([alarm.text] if alarm.kind in _FACTS else []),
        advice_of(alarm.kind).in_(language),
    ]
    return "\n".join(lines)


def is_due(
    alarm: Alarm, sent: datetime | None, repeat_seconds: RepeatSeconds, now: datetime
) -> bool:
    """Whether people are to be told of an alarm now.

    At once when it is new; then in every interval of its severity, as the clock divides time: what was
    raised at different moments is told again in one notice, half to one and a half intervals later.

    Args:
        alarm: that nobody has acknowledged.
        sent: when it was last told in this way; None: never.
        repeat_seconds: the intervals.
        now: UTC, whole seconds.
    """
    if sent is None or sent > now:
        return True
    seconds: int = getattr(repeat_seconds, severity_of(alarm.kind))
    next_interval = int(sent.timestamp()) // seconds < int(now.timestamp()) // seconds
    return next_interval and now - sent >= timedelta(seconds=seconds) / 2


class Notifier:
    """Tells people of what is due, by every way that the settings name.

    Args:
        settings: of the node.
        engine: its database.
        failing: what this process remembers of failures; a way that fails is noted there.
        monotonic: seconds that never go back, for the pauses after failures.
    """

    def __init__(
        self,
        settings: NodeSettings,
        engine: Engine,
        failing: Failing,
        monotonic: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._notices = settings.notices or Notices()
        self._engine = engine
        self._failing = failing
        self._monotonic = monotonic
        self._channels = open_channels(self._notices)
        self._backoffs = {
            each.name: Backoff(RETRY_BASE_SECONDS, RETRY_CAP_SECONDS) for each in self._channels
        }
        self._not_before: dict[str, float] = {}
        # A second memory, for a database that takes nothing: people are then not told each half minute.
        self._sent: dict[str, dict[tuple[str, str], datetime]] = {
            each.name: {} for each in self._channels
        }

    async def send_due(self, unrecorded: Sequence[Alarm], now: datetime) -> None:
        """Tell people of the alarms that are due; what cannot be sent is tried again.

        Args:
            unrecorded: alarms that the database does not take.
            now: UTC, whole seconds.
        """
        if not self._channels:
            return
        # Read once for all ways, so that each tells the same.
        recorded, sent = await asyncio.to_thread(self._read)
        waiting = sorted([*recorded, *unrecorded], key=_severity_first)
        await asyncio.gather(
            *(
                asyncio.to_thread(self._send_due, channel, waiting, sent[channel.name], now)
                for channel in self._channels
            )
        )

    def _send_due(
        self,
        channel: Channel,
        waiting: Sequence[Alarm],
        recorded: Mapping[tuple[str, str], datetime],
        now: datetime,
    ) -> None:
        self._forget_others(channel.name, waiting)
        if self._monotonic() < self._not_before.get(channel.name, 0.0):
            return
        sent = {**recorded, **self._sent[channel.name]}
        repeat = self._notices.repeat_seconds
        due = [
            alarm
            for alarm in waiting
            if is_due(alarm, sent.get((alarm.kind, alarm.subject)), repeat, now)
        ]
        if due and self._deliver(channel, due, now) is None:
            self._record(channel.name, due, now)

    def _deliver(self, channel: Channel, alarms: Sequence[Alarm], now: datetime) -> str | None:
        """Send a notice. Returns why it failed, or None."""
        notice = write_notice(self._settings, self._notices.language, alarms, now)
        try:
            channel.send(notice)
        except NoticeFailed as error:
            self._failing.channels[channel.name] = str(error)
            pause_seconds = self._backoffs[channel.name].failed()
            self._not_before[channel.name] = self._monotonic() + pause_seconds
            return str(error)
        self._failing.channels[channel.name] = None
        self._backoffs[channel.name].succeeded()
        return None

    def _read(
        self,
    ) -> tuple[Sequence[Alarm], Mapping[str, Mapping[tuple[str, str], datetime]]]:
        """The alarms that wait for a person, and by way when each was last told."""
        names = [channel.name for channel in self._channels]
        try:
            with reading(self._engine) as connection:
                waiting = list_alarms(connection, _WAITING_MAX, waiting=True)
                return waiting, {name: sent_by(connection, name) for name in names}
        except SQLAlchemyError:
            return (), {name: {} for name in names}

    def _record(self, channel: str, alarms: Sequence[Alarm], now: datetime) -> None:
        """A crash before this commit tells people once more; never not at all."""
        try:
            with writing(self._engine) as connection:
                noted = note_sent(connection, alarms, channel, now)
        except SQLAlchemyError:
            # The round itself notes that the database fails; what it does not hold, the second memory does.
            noted = frozenset()
        for key in ((alarm.kind, alarm.subject) for alarm in alarms):
            if key in noted:
                self._sent[channel].pop(key, None)
            else:
                self._sent[channel][key] = now

    def _forget_others(self, channel: str, waiting: Sequence[Alarm]) -> None:
        """What is over or acknowledged is told at once when it comes again."""
        standing = {(alarm.kind, alarm.subject) for alarm in waiting}
        kept = {key: at for key, at in self._sent[channel].items() if key in standing}
        self._sent[channel] = kept

    async def send_trial(self, now: datetime) -> Mapping[str, str | None]:
        """Send a trial notice by every way at once.

        Returns:
            By way, why it failed, or None.
        """
        results = await asyncio.gather(
            *(asyncio.to_thread(self._deliver, channel, (), now) for channel in self._channels)
        )
        return {channel.name: why for channel, why in zip(self._channels, results, strict=True)}


def open_channels(notices: Notices) -> tuple[Channel, ...]:
    """The ways that the settings name."""
    channels: list[Channel] = []
    if notices.command is not None:
        channels.append(CommandChannel(notices.command))
    if notices.smtp is not None:
        channels.append(SmtpChannel(notices.smtp))
    return tuple(channels)


def _severity_first(alarm: Alarm) -> tuple[int, datetime]:
    return list(Severity).index(severity_of(alarm.kind)), alarm.first_seen
