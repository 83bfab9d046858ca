"""Acknowledgements of the exchange log: each answers an envelope that was accepted for its desk, in order.

Pure; may import `schemas`. `exchange` calls it for each logged acknowledgement.
"""

from __future__ import annotations

from broker.audit.envelopes import AcceptedEnvelope, EnvelopeAudit
from broker.audit.rules import Findings
from schemas.acknowledgements import AcknowledgedItem, Acknowledgement


class AcknowledgementAudit:
    """Checks the answers of recipients against the envelopes accepted so far.

    Args:
        origin: of the exchange log, which every item names.
        unopened: indexes of leaves that did not open; an item that names one cannot be judged.
    """

    def __init__(
        self, origin: str, envelopes: EnvelopeAudit, unopened: set[int], findings: Findings
    ) -> None:
        self._origin = origin
        self._envelopes = envelopes
        self._unopened = unopened
        self._findings = findings
        self._seen: set[bytes] = set()

    def check(self, index: int, pae: str, answer: Acknowledgement) -> None:
        """Check an acknowledgement; one finding of a rule, however many items break it.

        1. It was not logged before.
        2. Its reason is one that its result can have.
        3. Each item names an accepted envelope by index, leaf, sender and id, addressed to this desk.
        4. Each answer follows from what the desk answered before.
        """
        if bytes.fromhex(pae) in self._seen:
            self._report(index, "acknowledgement-twice", f"{answer.desk} is logged twice")
            return
        self._seen.add(bytes.fromhex(pae))
        fault = answer.reason_fault()
        if fault is not None:
            self._report(index, "acknowledgement-reason", fault)
        strangers, contradictions = 0, []
        for item in answer.items:
            if item.index in self._unopened:
                continue
            envelope = self._find(answer.desk, item)
            if envelope is None:
                strangers += 1
                continue
            withdrawn = self._is_withdrawn(answer.desk, envelope)
            fault = answer.order_fault(envelope.answers[answer.desk], is_withdrawn=withdrawn)
            # An answer of this desk may stand in what did not open since.
            if fault is not None and max(self._unopened, default=-1) < item.index:
                contradictions.append(fault)
            if answer.settles:
                envelope.answers[answer.desk] = answer.result
        if strangers:
            detail = f"{strangers} items of {answer.desk} name no envelope accepted for it"
            self._report(index, "acknowledgement-item", detail)
        if contradictions:
            detail = f"{answer.desk}: {contradictions[0]} ({len(contradictions)} items)"
            self._report(index, "acknowledgement-order", detail)

    def _find(self, desk: str, item: AcknowledgedItem) -> AcceptedEnvelope | None:
        envelope = self._envelopes.accepted.get(item.index)
        if envelope is None or desk not in envelope.answers:
            return None
        named = (item.origin, item.from_, item.id, item.leaf)
        is_this = (self._origin, envelope.sender, envelope.id, envelope.leaf.hex())
        return envelope if named == is_this else None

    def _is_withdrawn(self, desk: str, envelope: AcceptedEnvelope) -> bool:
        return (envelope.sender, envelope.bulletin_id, desk) in self._envelopes.withdrawn

    def _report(self, index: int, rule: str, detail: str) -> None:
        self._findings.add("exchange", index, rule, detail)
