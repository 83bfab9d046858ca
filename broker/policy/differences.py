"""What differs between two directories, for people who do not program: changes, effect, and risks.

May import `keys.directory`, `schemas` and its own room; pure. `barid trust propose` and `sign` show it before
anybody signs, and the auditor reports each new directory with it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from cedarpy import pst

from broker.policy.changes import Change, one_line
from broker.policy.council_changes import council_changes, purge_changes
from broker.policy.effects import Effect, effects
from broker.policy.explaining import explanations
from broker.policy.governors_changes import governors_changes
from broker.policy.linting import Finding, lint
from broker.policy.matrix import Answers
from broker.policy.member_changes import member_changes
from broker.policy.rulebook import Rulebook
from broker.policy.rules import default_cases, default_texts
from broker.policy.sendable import sendable
from keys.directory import Directory
from schemas.errors import ConfigurationError

_NOTHING: Final = "nothing changes"

_EXAMPLES: Final = "these are examples; what the changed text above says counts"

_READ: Final = "no example shows a difference, and the text above changed: read it, it counts"

_NOT_JUDGED: Final = "council and rules, which are others' to change, were not looked at"


@dataclass(frozen=True, slots=True)
class TextDifference:
    """The lines of a text that differ, as `diff -u` writes them."""

    path: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What a directory changes.

    Args:
        versions: TUF role → (version before, or 0; version after), of those that differ.
        texts: the access rules, their schema and the table, where they differ from those before.
        effects: which desks can exchange what; empty where council and rules are the same.
        findings: what is wrong, or looks wrong, with council, rules and table as they would be.
        judged: whether that was looked for.
    """

    versions: dict[str, tuple[int, int]]
    changes: tuple[Change, ...]
    texts: tuple[TextDifference, ...]
    effects: tuple[Effect, ...]
    findings: tuple[Finding, ...]
    judged: bool = True

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings with which nobody should sign."""
        return tuple(each for each in self.findings if each.severity == "error")

    def lines(self) -> tuple[str, ...]:
        """The whole report as lines for a terminal or a page."""
        return tuple(map(one_line, self._lines()))

    def _lines(self) -> Iterator[str]:
        yield "What changes"
        for role, (old, new) in sorted(self.versions.items()):
            yield f"  {role}: version {new}" + (f" (before: {old})" if old else " (new)")
        yield from (f"  {change.text}" for change in self.changes)
        if not self.changes and not self.versions:
            yield f"  {_NOTHING}"
        for text in self.texts:
            yield f"How {text.path} changes"
            yield from (f"  {line}" for line in text.lines)
        yield "What desks can exchange"
        yield from (f"  {effect.sentence()}" for effect in self.effects)
        if self.texts:
            yield f"  {_EXAMPLES}" if self.effects else f"  {_READ}"
        elif not self.effects:
            yield f"  {_NOTHING}"
        yield "What to look at"
        yield from (f"  {finding.sentence()}" for finding in self.findings)
        if not self.findings:
            yield "  nothing was found" if self.judged else f"  {_NOT_JUDGED}"

    def to_plain(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return asdict(self)


def describe(
    before: Directory | None, after: Directory, at: datetime, *, judged: bool = True
) -> Report:
    """Compare two directories.

    Args:
        before: the one in force; None for a first directory, of which everything is new.
        after: the one proposed, or newly in force.
        at: UTC: when joint operations are looked at.
        judged: whether to look for what is wrong with it as well.
    """
    new = Rulebook.of(after.council_part)
    old = Rulebook.of(before.council_part) if before else None
    changes = [
        *governors_changes(before, after),
        *council_changes(before.council if before else None, after.council),
        *purge_changes(before.council_part.purges if before else (), after.council_part.purges),
        *_members(before, after),
        *_rules(old, new),
    ]
    keyids = set(after.root.roles["root"].keyids)
    answers: Answers = {}
    found = lint(new, keyids, at, answers) if judged else ()
    opened: tuple[Effect, ...] = ()
    if old != new:
        try:
            opened = effects(old, new, sendable(old, new, at), at, answers)
        except ConfigurationError as error:
            hint = Finding("error", "policy.cases.toml", f"the effect cannot be told: {error}")
            found = found if any(each.severity == "error" for each in found) else (hint, *found)
    return Report(
        versions=_versions(before, after),
        changes=tuple(changes),
        texts=tuple(_texts(old, new)),
        effects=opened,
        findings=found,
        judged=judged,
    )


def _versions(before: Directory | None, after: Directory) -> dict[str, tuple[int, int]]:
    old = before.versions if before else {}
    # The snapshot's is the hub's, and nobody signs it here.
    return {
        role: (old.get(role, 0), version)
        for role, version in after.versions.items()
        if role != "snapshot" and old.get(role) != version
    }


def _members(before: Directory | None, after: Directory) -> Iterator[Change]:
    old = before.member_parts if before else {}
    for member in sorted({*old, *after.member_parts}):
        if member in after.member_parts:
            yield from member_changes(old.get(member), after.member_parts[member])
        else:
            yield Change("keys", member, f"the file of {member} is gone, with all its keys")


def _rules(old: Rulebook | None, new: Rulebook) -> Iterator[Change]:
    """Which rules come, go and change; the text alone where they do not load."""
    was, will = _policies(old), _policies(new)
    said_before = explanations(old.policy_text) if old else {}
    said = explanations(new.policy_text)
    for name in sorted({*was, *will}):
        if name not in will:
            text = f"the rule {name} is taken away: {said_before.get(name) or '-'}"
        elif name not in was:
            text = f"new rule {name}: {said.get(name) or '-'}"
        elif replace(was[name], id="") != replace(will[name], id=""):
            text = f"the rule {name} is changed: {said.get(name) or '-'}"
        elif said_before.get(name) != said.get(name):
            text = f"the rule {name} is explained otherwise: {said.get(name) or '-'}"
        else:
            continue
        yield Change("rules", name, text)


def _policies(book: Rulebook | None) -> Mapping[str, pst.Template]:
    """The rules by @id; none where they do not load, which decides nothing."""
    try:
        return book.rules().loaded.rules if book else {}
    except ConfigurationError:
        return {}


def _texts(old: Rulebook | None, new: Rulebook) -> Iterator[TextDifference]:
    before = "before" if old else "as shipped"
    if old is None:
        # At a founding, what differs from the rules that are shipped, which people can read beforehand.
        old = Rulebook(new.council, *default_texts(), default_cases())
    for path, was, will in (
        ("policy.cedar", old.policy_text, new.policy_text),
        ("policy.cedarschema", old.schema_text, new.schema_text),
        ("policy.cases.toml", old.cases_text, new.cases_text),
    ):
        if was != will:
            names = (before, "after")
            lines = difflib.unified_diff(
                was.splitlines(), will.splitlines(), *names, lineterm="", n=2
            )
            yield TextDifference(path, tuple(lines))
