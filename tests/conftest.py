"""What a run of the tests says about itself: its very last line names what was skipped, and why.

With BARID_FORBID_SKIP=1, as CI sets it, a run that skipped anything has failed.
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter


def _reporter(config: pytest.Config) -> TerminalReporter | None:
    """Give the reporter of this run; a worker of pytest-xdist has none, its controller reports."""
    reporter: TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    return reporter


def _skipped(reporter: TerminalReporter) -> dict[str, list[str]]:
    """Give the skipped tests and modules, by reason."""
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for report in reporter.stats.get("skipped", []):
        # pytest says why in (file, line, "Skipped: reason").
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        by_reason[" ".join(reason.removeprefix("Skipped: ").split())].append(report.nodeid)
    return dict(by_reason)


def _forbidden() -> bool:
    return os.environ.get("BARID_FORBID_SKIP") == "1"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run that skipped a test where that is forbidden."""
    reporter = _reporter(session.config)
    if reporter is not None and _forbidden() and _skipped(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Write the last line, after pytest's own closing line."""
    reporter = _reporter(config)
    if reporter is None or config.option.collectonly:
        return
    skipped = _skipped(reporter)
    if not skipped:
        reporter.write_line("skipped: nothing")
        return
    verdict = " (forbidden here: this run has failed)" if _forbidden() else ""
    parts = [f"{', '.join(names)}: {reason}" for reason, names in skipped.items()]
    reporter.write_line(f"skipped{verdict}: {'; '.join(parts)}")
