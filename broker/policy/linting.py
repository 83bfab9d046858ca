"""What is wrong, or looks wrong, with council, access rules and table, before anybody signs them.

May import cedarpy's syntax tree, `schemas` and its own room; pure. `barid trust propose` and `sign` show the
findings; a proposal with an error is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from cedarpy import pst

from broker.policy.context import DESK
from broker.policy.loading import EVALUATION_ERROR, LoadedRules, walk
from broker.policy.matrix import Answers, Matrix, make_matrix
from broker.policy.rulebook import Rulebook
from broker.policy.rules import AccessRules
from broker.policy.sights import sights_of
from broker.policy.table import CaseTable
from schemas.directory import Council
from schemas.errors import ConfigurationError
from schemas.scalars import format_time

Severity = Literal["error", "warning"]

_KIND_OF_ATTRIBUTE: Final = {
    "groups": "grouping",
    "channels": "bilateral",
    "operations": "operation",
}
_ATTRIBUTE_OF_KIND: Final = {kind: name for name, kind in _KIND_OF_ATTRIBUTE.items()}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to mend (`error`), or to look at twice (`warning`).

    Args:
        place: the rule's @id, or where it stands: `council.json groups.x`, `policy.cases.toml case 3`.
        message: what is wrong, and what to do.
    """

    severity: Severity
    place: str
    message: str

    def sentence(self) -> str:
        """The finding as one line."""
        return f"{self.severity}: {self.place}: {self.message}"


def lint(
    book: Rulebook, root_keyids: Collection[str], at: datetime, answers: Answers | None = None
) -> tuple[Finding, ...]:
    """Look for all that can be found without knowing what was meant.

    1. Groups: empty ones, operations that have ended; governors that the root does not have, and the reverse.
    2. The rules load; each desk, member and group that they name is there.
    3. The table loads against this council, and its cases hold.
    4. Over the desks of council and table, and everything that the table names as sent: rules that permit
       everything, permits that never take effect, forbids that never match.

    Args:
        root_keyids: the keys that sign the root, by TUF keyid.
        at: UTC: when joint operations are looked at.
        answers: what rules were asked before (`make_matrix`).

    Returns:
        Errors first, each kind in the order above.
    """
    found = [*_council(book.council, at), *_governors(book.council, root_keyids)]
    try:
        rules = book.rules()
    except ConfigurationError as error:
        found += _listed("policy.cedar", error)
        return _sorted(found)
    found += _names(book.council, rules.loaded)
    try:
        found += _over_the_table(book, rules, at, answers)
    except ConfigurationError as error:
        found += _listed("policy.cases.toml", error)
    return _sorted(found)


def _over_the_table(
    book: Rulebook, rules: AccessRules, at: datetime, answers: Answers | None
) -> Iterator[Finding]:
    if book.cases_text:
        table = book.table(at)
    else:
        table = CaseTable((), book.whats(at), {})
        yield Finding(
            "warning",
            "policy.cases.toml",
            "no table of cases is signed with the rules; what follows is judged by what the shipped one"
            " names as sent: add a table",
        )
    for case, decision in table.run(rules):
        if not case.holds(decision):
            answer = "permit" if decision.allowed else "refuse"
            yield Finding(
                "error",
                f"policy.cases.toml case {case.number}",
                f"{case.why!r}: the rules answer {answer} by {', '.join(decision.policies)}:"
                " correct the rules, or the case",
            )
    parties = (*book.parties(at), *table.parties.values())
    matrix = make_matrix(rules.loaded, parties, [what.context for what in table.whats], answers)
    yield from _useless(matrix, rules.loaded)


def _sorted(found: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(found, key=lambda each: each.severity))


def _listed(place: str, error: ConfigurationError) -> Iterator[Finding]:
    """The findings of a loader, which lists them in lines of their own after a heading."""
    lines = str(error).split("\n- ")
    for line in lines[1:] or lines:
        yield Finding("error", place, line)


def _council(council: Council, at: datetime) -> Iterator[Finding]:
    for name, group in sorted(council.groups.items()):
        place = f"council.json groups.{name}"
        if not group.holds(at):
            ended = format_time(group.until) if group.until else ""
            yield Finding(
                "warning",
                place,
                f"this joint operation ended at {ended}: take it away, or prolong it",
            )
        here = [m for m in group.members if not council.members[m].suspended]
        if not any(group.function in f for m in here for f in council.members[m].desks.values()):
            yield Finding(
                "warning",
                place,
                f"it is empty: no desk of its members has the function {group.function}, so that"
                " who writes to it reaches nobody; grant one, or change the group's function",
            )


def _governors(council: Council, root_keyids: Collection[str]) -> Iterator[Finding]:
    for keyid, member in sorted(council.governors.items()):
        if keyid not in root_keyids:
            yield Finding(
                "error",
                f"council.json governors.{keyid}",
                f"this key of {member} does not sign the root: take it away, or rotate the root",
            )
    if root_keyids and not council.governors:
        text = "it does not say whose the governors' keys are: name the members, to read who signed"
        yield Finding("warning", "council.json governors", text)
        return
    for keyid in sorted(set(root_keyids) - council.governors.keys()):
        yield Finding(
            "warning",
            "council.json governors",
            f"whose is the root's key {keyid}? Name the member, so that people read who signed",
        )


def _names(council: Council, loaded: LoadedRules) -> Iterator[Finding]:
    """Desks, members and groups that rules name, and that are not there."""
    desks = {f"{m}/{unit}" for m, seat in council.members.items() for unit in seat.desks}
    for name, rule in sorted(loaded.rules.items()):
        named = {
            node.id
            for node in walk(rule)
            if isinstance(node, pst.EntityUid) and str(node.type) == DESK
        }
        for desk in sorted(named - desks):
            yield Finding("error", name, f"the council has no desk {desk}: correct the name")
        for (_, path), words in sights_of(rule).read.items():
            texts = sorted(word for word in words or () if isinstance(word, str))
            if path[-1:] in {("member",), ("release_to",)}:
                for text in texts:
                    if text not in council.members:
                        yield Finding("error", name, f"the council has no member {text!r}")
            elif path[-1:] and path[-1] in _KIND_OF_ATTRIBUTE:
                yield from _groups(council, name, path[-1], texts)


def _groups(council: Council, name: str, attribute: str, texts: Sequence[str]) -> Iterator[Finding]:
    for text in texts:
        group = council.groups.get(text)
        if group is None:
            yield Finding(
                "warning",
                name,
                f"the council has no group {text!r}, so that no desk is in it: add it, or correct the name",
            )
        elif group.kind != _KIND_OF_ATTRIBUTE[attribute]:
            yield Finding(
                "error",
                name,
                f"{text!r} is of the kind {group.kind}: ask `{_ATTRIBUTE_OF_KIND[group.kind]}`,"
                f" not `{attribute}`",
            )


def _useless(matrix: Matrix, loaded: LoadedRules) -> Iterator[Finding]:
    """What rules do not do over all desks and all that is sent, or do too much."""
    allowed = _allowed(matrix)
    over = "whatever the table sends between the desks of council and table"
    for ruling in matrix.rulings:
        if ruling.id == EVALUATION_ERROR:
            continue
        cells = [cell for row in ruling.holds for cell in row]
        if ruling.permits and all(cell == matrix.everything for cell in cells):
            severity: Severity = "warning" if sights_of(loaded.rules[ruling.id]).read else "error"
            yield Finding(
                severity,
                ruling.id,
                f"it permits everything, {over}: say who may write what to whom",
            )
        if ruling.permits and not any(
            ruling.holds[ruling.senders[s]][ruling.recipients[r]] & bits
            for (s, r), bits in allowed.items()
        ):
            yield Finding(
                "warning",
                ruling.id,
                f"this permit never takes effect, {over}: mend it, or add a case that needs it",
            )
        if not ruling.permits and not any(cells):
            yield Finding(
                "warning",
                ruling.id,
                f"this forbid never matches, {over}: mend it, or add a case that needs it",
            )
        if any(cell for row in ruling.errs for cell in row):
            yield Finding(
                "warning",
                ruling.id,
                "it cannot always be evaluated, which counts as a refusal: mend its arithmetic",
            )


def _allowed(matrix: Matrix) -> Mapping[tuple[int, int], int]:
    """What may go between two desks of each pair of classes."""
    last = {each: place for place, each in enumerate(matrix.sender_class)}
    first = {each: place for place, each in reversed(list(enumerate(matrix.recipient_class)))}
    # They are one desk only where both classes have no other, and nobody sends to itself.
    return {(s, r): matrix.allowed(s, r) for s in last.values() for r in first.values() if s != r}
