"""Access rules in Cedar: loaded strictly, decided once for each recipient.

May import cedarpy, `schemas` and its own room. Everyone who admits an envelope calls `decide_all`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.resources import files
from typing import Final

import cedarpy

from broker.policy.context import (
    Party,
    SendContext,
    cedar_context,
    cedar_entity,
    cedar_request,
    context_of,
)
from broker.policy.loading import EVALUATION_ERROR, NO_PERMIT, LoadedRules, load_rules
from broker.policy.looks import Looks
from schemas.envelope import Header
from schemas.errors import Problem, VerificationError

DECISIONS_KEPT_MAX: Final = 8192
"""Decisions remembered by one rule set: some 10 MB."""

ENTITIES_KEPT_MAX: Final = 256
"""Sets of desks that stay parsed by one rule set: 6 KB each."""

PartyLookup = Callable[[str], Party | None]
"""Gives the party with a desk id, None for a desk that the directory does not have."""

_NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one recipient, and by which policies.

    Args:
        policies: sorted @ids: those that permit if `allowed`, else those that forbid, or one of
            `NO_PERMIT` and `EVALUATION_ERROR` alone.
    """

    allowed: bool
    policies: tuple[str, ...]


_UNDECIDED: Final = Decision(allowed=False, policies=(EVALUATION_ERROR,))


class AccessRules:
    """One rule set of the directory, parsed and validated; make it with `load`.

    Denies by default, and a forbid wins (Cedar). Where any policy errs, the answer is no: Cedar
    itself would skip that policy, though it may be the forbid that matters.
    """

    def __init__(self, loaded: LoadedRules) -> None:
        self._loaded = loaded
        self._looks = Looks(loaded)
        self._known: dict[Hashable, Decision] = {}
        self._entities: dict[tuple[str, ...], cedarpy.Entities] = {}

    @classmethod
    def load(cls, policy_text: str, schema_text: str) -> AccessRules:
        """Parse and validate rules (the protocol's "Directory and access rules").

        Args:
            policy_text: `policy.cedar`; every policy has its own @id.
            schema_text: `policy.cedarschema`.

        Raises:
            ConfigurationError: with every finding, each naming the policy by its @id.
        """
        return cls(load_rules(policy_text, schema_text))

    @property
    def loaded(self) -> LoadedRules:
        """The rules as they were read, for those who look at them one by one."""
        return self._loaded

    @property
    def ids(self) -> tuple[str, ...]:
        """The @ids of all policies, sorted."""
        return tuple(sorted(self._loaded.names.values()))

    def decide(self, sender: Party, recipient: Party, context: SendContext) -> Decision:
        """Decide for one recipient; never raises."""
        return self.decide_each(sender, (recipient,), context)[0]

    def decide_each(
        self, sender: Party, recipients: Sequence[Party], context: SendContext
    ) -> tuple[Decision, ...]:
        """Decide for each recipient, in their order; never raises.

        A decision is remembered under what the rules can see of the question, on which alone it depends.
        """
        # A time that no rule reads would only make every second's questions new ones.
        what = cedar_context(context if self._loaded.reads_time else replace(context, at=_NO_TIME))
        keys = [self._looks.question(sender, recipient, what) for recipient in recipients]
        known = self._known
        asked = {
            key: party
            for key, party in zip(keys, recipients, strict=True)
            if key is not None and key not in known
        }
        answers: dict[Hashable, Decision] = {None: _UNDECIDED}
        if asked:
            answers |= zip(asked, self._ask(sender, tuple(asked.values()), what), strict=True)
        decisions = tuple(answers.get(key) or known[key] for key in keys)
        if len(known) + len(asked) > DECISIONS_KEPT_MAX:
            self._known = known = {}
        known.update((key, answers[key]) for key in asked)
        return decisions

    def _ask(self, sender: Party, recipients: Sequence[Party], what: str) -> list[Decision]:
        loaded = self._loaded
        requests = [cedar_request(sender.desk, recipient.desk, what) for recipient in recipients]
        try:
            entities = self._entities_of({sender, *recipients})
        except ValueError:
            # Two accounts of one desk among the recipients: each is asked about alone.
            if len(recipients) == 1:
                return [_UNDECIDED]
            return [self._ask(sender, (recipient,), what)[0] for recipient in recipients]
        results = cedarpy.is_authorized_batch(requests, loaded.policies, entities, loaded.schema)
        return [self._decision(result) for result in results]

    def _entities_of(self, parties: Collection[Party]) -> cedarpy.Entities:
        """Some desks as Cedar reads them: those that stand for all that look alike come again and again."""
        texts = tuple(sorted({cedar_entity(party) for party in parties}))
        found = self._entities.get(texts)
        if found is None:
            if len(self._entities) >= ENTITIES_KEPT_MAX:
                self._entities = {}
            found = cedarpy.Entities.from_json_str(f"[{','.join(texts)}]", self._loaded.schema)
            self._entities[texts] = found
        return found

    def _decision(self, result: cedarpy.AuthzResult) -> Decision:
        if result.diagnostics.errors or result.decision is cedarpy.Decision.NoDecision:
            return _UNDECIDED
        # Cedar names policies by their position in the text, and in no order.
        policies = tuple(sorted(self._loaded.names[name] for name in result.diagnostics.reasons))
        return Decision(result.allowed, policies or (NO_PERMIT,))


def decide_all(
    rules: AccessRules, parties: PartyLookup, header: Header, at: datetime
) -> dict[str, Decision]:
    """Decide for every recipient of an envelope: what sender, hub, recipient and auditor all ask.

    Args:
        rules: those of the directory by which the envelope is judged.
        parties: the desks of that directory.
        header: the envelope's, already parsed.
        at: UTC, whole seconds: the entry's `at`; for the sender, its clock.

    Returns:
        The decision by desk id, in the order of the header.

    Raises:
        Problem: `unknown-recipient`, when the directory does not have a recipient.
        VerificationError: the directory does not have the sender.
    """
    sender = parties(header.from_)
    if sender is None:
        raise VerificationError(f"the sender {header.from_} is not a desk of this directory")
    recipients: list[Party] = []
    for desk in header.desks:
        recipient = parties(desk)
        if recipient is None:
            raise Problem("unknown-recipient", f"{desk} is not a desk of the directory in force")
        recipients.append(recipient)
    decisions = rules.decide_each(sender, recipients, context_of(header, at))
    return dict(zip(header.desks, decisions, strict=True))


def default_cases() -> str:
    """The table of cases for the rules that Barid ships (`policy.cases.toml` to begin with)."""
    return files("broker.policy").joinpath("default.cases.toml").read_text(encoding="utf-8")


def default_texts() -> tuple[str, str]:
    """The rules that Barid ships and their schema, for a council to start from."""
    room = files("broker.policy")
    return (
        room.joinpath("default.cedar").read_text(encoding="utf-8"),
        room.joinpath("default.cedarschema").read_text(encoding="utf-8"),
    )
