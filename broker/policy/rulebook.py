"""All that decides who may send what to whom: council, access rules, and the table by which people read them.

May import `keys.directory` and its own room; what looks at a change (`effects`, `linting`, `differences`) and
the command line make one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from broker.policy.context import Party, party_of
from broker.policy.rules import AccessRules, default_cases
from broker.policy.table import CaseTable, What, load_table, load_whats
from keys.directory import CouncilPart
from schemas.directory import Council


@lru_cache(maxsize=8)
def _loaded(policy_text: str, schema_text: str) -> AccessRules:
    return AccessRules.load(policy_text, schema_text)


@dataclass(frozen=True, slots=True)
class Rulebook:
    """What the council decides; `cases_text` is empty where no table is signed with the rules."""

    council: Council
    policy_text: str
    schema_text: str
    cases_text: str = ""

    @classmethod
    def of(cls, part: CouncilPart) -> Rulebook:
        """Take it from what k of n governors signed."""
        return cls(part.council, part.policy_text, part.schema_text, part.cases_text)

    def rules(self) -> AccessRules:
        """The access rules. Raises ConfigurationError if they do not load."""
        return _loaded(self.policy_text, self.schema_text)

    def table(self, at: datetime) -> CaseTable:
        """Its table, else the one that is shipped. Raises ConfigurationError as `load_table`."""
        return load_table(self.cases_text or default_cases(), self.council, at)

    def whats(self, at: datetime) -> tuple[What, ...]:
        """What its table, else the one that is shipped, names as sent. Raises ConfigurationError."""
        return load_whats(self.cases_text or default_cases(), at)

    def parties(self, at: datetime) -> tuple[Party, ...]:
        """The desks to which the council grants something, without those of suspended members; sorted."""
        found = (
            party_of(self.council, f"{member}/{unit}", at)
            for member, seat in sorted(self.council.members.items())
            for unit in sorted(seat.desks)
            if not seat.suspended
        )
        return tuple(party for party in found if party)
