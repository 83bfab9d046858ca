"""What each alarm says to a person: a title and what to do, in the three languages of the exchange.

May import the kinds, `titles` and `advice`; the command line, the agency interface and notices show them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from broker.node.alarms.advice import ADVICE as ADVICE
from broker.node.alarms.kinds import AlarmKind, Severity
from broker.node.alarms.titles import TITLES as TITLES
from broker.node.alarms.titles import Said as Said

_UNKNOWN_TITLE: Final = Said(
    "Something needs a person", "Une intervention est nécessaire", "أمر يحتاج إلى تدخل شخص"
)
_UNKNOWN_ADVICE: Final = Said(
    "Look at `barid alarms list` on the node.",
    "Consultez `barid alarms list` sur le nœud.",
    "راجع `barid alarms list` على العقدة.",
)

_KNOWN: Final = frozenset(str(kind) for kind in AlarmKind)

SEVERITIES: Final[Mapping[Severity, Said]] = {
    Severity.CRITICAL: Said("critical", "critique", "حرج"),
    Severity.SERIOUS: Said("serious", "grave", "خطير"),
    Severity.MINOR: Said("minor", "mineur", "بسيط"),
}
"""The severities as people read them."""


def title_of(kind: str) -> Said:
    """What is wrong; of a kind that this version does not know, that a person is needed."""
    return TITLES[AlarmKind(kind)] if kind in _KNOWN else _UNKNOWN_TITLE


def advice_of(kind: str) -> Said:
    """What a person does about it."""
    return ADVICE[AlarmKind(kind)] if kind in _KNOWN else _UNKNOWN_ADVICE
