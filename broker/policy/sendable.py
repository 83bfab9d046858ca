"""What may be sent, to judge a change by: all that any table names, and what no table may leave out.

May import `schemas` and its own room; pure. A proposal that brings its own examples cannot hide by them what
it opens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from broker.policy.context import SendContext
from broker.policy.rulebook import Rulebook
from broker.policy.rules import default_cases
from broker.policy.table import What, load_whats
from schemas.bulletin.vocabularies import (
    Classification,
    Kind,
    Precedence,
    Purpose,
    Status,
    Tlp,
    Topic,
)
from schemas.errors import ConfigurationError

BASE: Final = "ordinary"
"""The shipped table's complete example, from which the others are made."""


def sendable(before: Rulebook | None, after: Rulebook, at: datetime) -> tuple[What, ...]:
    """What to judge a change by, each context once.

    1. What the proposed table, the one in force and the shipped one name; in the words of the first.
    2. If the rules differ, each value of each field of a bulletin, and each purpose with personal data.

    Args:
        before: None for a first directory.
        at: UTC: when what is sent is looked at.

    Raises:
        ConfigurationError: the proposed table cannot be read.
    """
    shipped = load_whats(default_cases(), at)
    named = [*after.whats(at), *_whats_of(before, at), *shipped]
    if before is None or before.policy_text != after.policy_text:
        base = next(each for each in shipped if each.name == BASE)
        named += _made_from(base.context)
    found: dict[str, What] = {}
    for what in named:
        key = repr(what.context)
        found.setdefault(key, replace(what, says=_with_facts(what)))
    return tuple(found.values())


def _whats_of(book: Rulebook | None, at: datetime) -> tuple[What, ...]:
    try:
        return () if book is None else book.whats(at)
    except ConfigurationError:
        # A table in force that cannot be read any more says nothing; the shipped one does.
        return ()


def _made_from(base: SendContext) -> Iterator[What]:
    """The base with each value of one field, and each purpose with personal data."""
    marking = base.marking
    contexts = [
        *(replace(base, purpose=each) for each in Purpose),
        *(replace(base, purpose=each, personal_data=True) for each in Purpose),
        *(replace(base, kind=each) for each in Kind),
        *(replace(base, status=each) for each in Status),
        *(replace(base, precedence=each) for each in Precedence),
        *(replace(base, topics=(each,)) for each in Topic),
        *(replace(base, marking=marking.model_copy(update={"tlp": each})) for each in Tlp),
        *(
            replace(base, marking=marking.model_copy(update={"classification": each}))
            for each in Classification
        ),
    ]
    for context in contexts:
        yield What("unnamed", "what no table names", context)


def _with_facts(what: What) -> str:
    """The table's words, and beside them what is sent in fact: the words are the proposer's."""
    context = what.context
    facts = [
        str(context.kind),
        f"for {context.purpose}",
        f"TLP:{str(context.marking.tlp).upper()}",
        str(context.marking.classification),
    ]
    facts += ["with personal data"] if context.personal_data else []
    facts += [] if context.status is Status.ACTUAL else [f"status {context.status}"]
    facts += [f"caveat {each}" for each in context.marking.caveats]
    return f"{what.says} ({', '.join(facts)})"
