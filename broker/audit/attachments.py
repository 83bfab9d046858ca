"""Attachments of the exchange log: each is stored once, and before any envelope names it.

Pure; may import `schemas`. `exchange` calls it for each stored attachment and each accepted envelope.
"""

from __future__ import annotations

from broker.audit.rules import Findings
from schemas.entries import AttachmentStored
from schemas.envelope import Header


class AttachmentAudit:
    """Attachments stored so far, with their sizes.

    Args:
        unopened: indexes of leaves that did not open; any of them may have stored an attachment.
    """

    def __init__(self, unopened: set[int], findings: Findings) -> None:
        self._unopened = unopened
        self._findings = findings
        self._sizes: dict[bytes, int] = {}

    def check_stored(self, index: int, entry: AttachmentStored) -> None:
        """Check that an attachment was not logged before, then remember it."""
        name = bytes.fromhex(entry.sha256)
        if name in self._sizes:
            self._report(index, "attachment-twice", f"{entry.sha256} was stored before")
        self._sizes.setdefault(name, entry.size)

    def check_named(self, index: int, header: Header) -> None:
        """Check that the attachments of an accepted envelope were stored before, with their sizes.

        Behind a leaf that did not open, which is reported, an attachment that is missing may have been
        stored; one of another size is wrong all the same.
        """
        missing = 0
        for named in header.attachments:
            size = self._sizes.get(bytes.fromhex(named.sha256))
            is_known = size is not None or not self._unopened
            missing += is_known and size != named.size
        if missing:
            detail = f"{missing} of {len(header.attachments)} attachments were not stored so before"
            self._report(index, "accepted-attachments", detail)

    def _report(self, index: int, rule: str, detail: str) -> None:
        self._findings.add("exchange", index, rule, detail)
