"""Expiry in the exchange log: each accepted envelope is logged as expired once, in its time.

Pure; may import `schemas`. `exchange` calls it for each `envelope.expired`, and at the log's end.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from broker.audit.envelopes import EnvelopeAudit
from broker.audit.rules import Findings
from schemas.entries import EnvelopeExpired
from schemas.scalars import format_time

EXPIRY_TOLERANCE: Final = timedelta(hours=1)
"""How late an expiry may be logged: the hub looks twice a minute, and may have been off for a while."""


class ExpiryAudit:
    """Checks expiries against the envelopes accepted so far.

    Args:
        unopened: indexes of leaves that did not open; each may be an acceptance or an expiry.
    """

    def __init__(self, envelopes: EnvelopeAudit, unopened: set[int], findings: Findings) -> None:
        self._envelopes = envelopes
        self._unopened = unopened
        self._findings = findings
        self._expired: set[tuple[str, str]] = set()

    def check(self, index: int, entry: EnvelopeExpired) -> None:
        """Check one expiry; one finding at the most.

        1. It is the first of its envelope.
        2. The envelope was accepted before.
        3. Its `expires` had passed.
        """
        name = (entry.from_, entry.id)
        if name in self._expired:
            self._report(index, "expired-twice", f"an envelope of {entry.from_} expires again")
            return
        self._expired.add(name)
        envelope = self._envelopes.find(*name)
        if envelope is None:
            if not self._unopened:
                detail = f"no envelope of {entry.from_} with this id was accepted"
                self._report(index, "expired-unknown", detail)
        elif entry.at < envelope.expires:
            detail = f"{format_time(entry.at)} is before {format_time(envelope.expires)}"
            self._report(index, "expired-early", detail)

    def finish(self, newest: datetime) -> None:
        """Report what should have been logged as expired by now.

        Args:
            newest: the time of the log's newest entry: the hub was at work then.
        """
        # A sum may lie behind the last day that can be written, and whoever is audited chose the time.
        missing = [
            (index, envelope)
            for index, envelope in self._envelopes.accepted.items()
            if newest - envelope.expires > EXPIRY_TOLERANCE
            and (envelope.sender, envelope.id) not in self._expired
        ]
        # As many may stand behind the leaves that did not open, each of which is a finding itself.
        for index, envelope in missing[len(self._unopened) :]:
            detail = f"it expired at {format_time(envelope.expires)}, which nothing says"
            self._report(index, "expired-missing", detail)

    def _report(self, index: int, rule: str, detail: str) -> None:
        self._findings.add("exchange", index, rule, detail)
