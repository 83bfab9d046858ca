"""Watching: one audit after another, until something is found or the hub is silent for too long.

May import prometheus-client, asyncio and the auditor's own rooms; the command line runs it. Who watches is
told by the exit code, by a program of its own, and by metrics.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.audit.report import AuditReport
from schemas.errors import ConfigurationError, HubUnreachable

COMMAND_SECONDS: Final = 60
"""How long a program that is told of findings may take."""

_LOGS: Final = ("directory", "exchange")


@dataclass(frozen=True, slots=True)
class Watch:
    """How to watch.

    Args:
        every: between the end of one audit and the begin of the next.
        patience: how long the hub may be silent.
        keeps_going: whether to go on after a finding.
        command: a program that gets the report as JSON on its standard input when something was found.
    """

    every: timedelta
    patience: timedelta
    keeps_going: bool = False
    command: tuple[str, ...] = ()


@dataclass(eq=False)
class Seen(Collector):
    """What the last audits found, as metrics."""

    last: AuditReport | None = None
    last_sound: datetime | None = None
    silent_since: datetime | None = None
    audits: int = field(default=0)

    def describe(self) -> Iterator[Metric]:
        """Nothing is computed when it is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Each gauge, as it is now."""
        yield GaugeMetricFamily("barid_audit_audits", "Audits that ended.", value=self.audits)
        silent = 0 if self.silent_since is None else 1
        yield GaugeMetricFamily(
            "barid_audit_hub_silent", "1: the hub does not answer.", value=silent
        )
        if self.last_sound is not None:
            said = "When an audit last found nothing."
            at = self.last_sound.timestamp()
            yield GaugeMetricFamily("barid_audit_last_sound_timestamp_seconds", said, value=at)
        if self.last is not None:
            total = self.last.findings_by_rule.total()
            yield GaugeMetricFamily("barid_audit_findings", "Of the last audit.", value=total)
            said = "Entries of a log at the last audit."
            entries = GaugeMetricFamily("barid_audit_log_entries", said, labels=["log"])
            for log, audited in zip(
                _LOGS, (self.last.directory, self.last.exchange_log), strict=True
            ):
                if audited is not None:
                    entries.add_metric([log], audited.checkpoint.size)
            yield entries


async def watch(
    audit: Callable[[], Awaitable[AuditReport]],
    settings: Watch,
    seen: Seen,
    now: Callable[[], datetime],
    tell: Callable[[AuditReport | HubUnreachable], None],
) -> AuditReport:
    """Audit again and again.

    Args:
        audit: one audit.
        settings: how.
        seen: what metrics show.
        now: UTC.
        tell: what a person is told of each audit, or of a hub that does not answer.

    Returns:
        The report with findings, unless it keeps going, which ends with the process alone.

    Raises:
        HubUnreachable: the hub was silent for longer than the patience.
        ConfigurationError: the program cannot be run.
    """
    while True:
        try:
            report = await audit()
        except HubUnreachable as error:
            seen.silent_since = seen.silent_since or now()
            tell(error)
            if now() - seen.silent_since >= settings.patience:
                raise
        else:
            seen.silent_since, seen.last, seen.audits = None, report, seen.audits + 1
            tell(report)
            if report.is_sound:
                seen.last_sound = report.at
            else:
                await asyncio.to_thread(_run, settings.command, report)
                if not settings.keeps_going:
                    return report
        await asyncio.sleep(settings.every.total_seconds())


def _run(command: tuple[str, ...], report: AuditReport) -> None:
    if not command:
        return
    try:
        # The auditor's own program, and no shell.
        subprocess.run(  # noqa: S603
            command, input=report.to_json(), timeout=COMMAND_SECONDS, check=True, cwd="/"
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigurationError(f"{command[0]} was not told of the findings: {error}") from error
