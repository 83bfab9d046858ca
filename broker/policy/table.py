"""The table of cases: who sends what to whom, the answer, and why. Governors read it, extend it, and sign it.

May import `schemas` and its own room; reads TOML. `barid policy test` runs it, and what a change opens or
closes is judged over what it lists.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from broker.policy.context import Party, SendContext, party_of
from broker.policy.rules import AccessRules, Decision
from schemas.bulletin.vocabularies import (
    Caveat,
    Classification,
    DeskFunction,
    Kind,
    Precedence,
    Purpose,
    Status,
    Tlp,
    Topic,
)
from schemas.directory import Council
from schemas.entries import PolicyId
from schemas.envelope import HeaderMarking
from schemas.errors import ConfigurationError
from schemas.limits import RELEASE_TO_MAX, TOPICS_MAX
from schemas.scalars import DeskId, MemberId, Message, UtcTime, Word

TABLE_BYTES_MAX: Final = 256 * 1024
"""Bytes of the table: the one that is shipped takes 20 KB for 80 cases."""

CASES_MAX: Final = 1024
WHATS_MAX: Final = 256
TABLE_DESKS_MAX: Final = 256

BASE: Final = "ordinary"
"""The section of `what` from which every other takes what it does not say."""

Model = TypeVar("Model", bound=Message)

Sentence = Annotated[str, Field(min_length=1, max_length=300)]


class _Desk(Message):
    """A desk that exists in the table alone, with its member's attributes."""

    kind: Literal["state", "organisation"]
    functions: Annotated[tuple[DeskFunction, ...], Field(max_length=len(DeskFunction))]
    tlp: Tlp = Tlp.RED
    classification: Classification = Classification.SECRET
    groups: Annotated[tuple[Word, ...], Field(max_length=64)] = ()
    channels: Annotated[tuple[Word, ...], Field(max_length=64)] = ()
    operations: Annotated[tuple[Word, ...], Field(max_length=64)] = ()


class _What(Message):
    """What is sent, in words (`says`) and as the access rules see it."""

    says: Sentence
    status: Status
    kind: Kind
    topics: Annotated[tuple[Topic, ...], Field(min_length=1, max_length=TOPICS_MAX)]
    purpose: Purpose
    precedence: Precedence
    personal_data: bool
    tlp: Tlp
    classification: Classification
    caveats: Annotated[tuple[Caveat, ...], Field(max_length=len(Caveat))] = ()
    release_to: Annotated[tuple[MemberId, ...], Field(max_length=RELEASE_TO_MAX)] = ()
    at: UtcTime | None = None

    @model_validator(mode="after")
    def _release_to_has_its_list(self) -> Self:
        if bool(self.release_to) != (Caveat.RELEASE_TO in self.caveats):
            raise ValueError("the caveat release_to and the list release_to go together")
        return self

    def context(self, now: datetime) -> SendContext:
        """As the access rules see it; at `now`, where it does not say when."""
        return SendContext(
            status=self.status,
            kind=self.kind,
            topics=tuple(sorted(set(self.topics))),
            purpose=self.purpose,
            precedence=self.precedence,
            personal_data=self.personal_data,
            marking=HeaderMarking(
                tlp=self.tlp,
                classification=self.classification,
                caveats=tuple(sorted(set(self.caveats))),
                release_to=tuple(sorted(set(self.release_to))) or None,
            ),
            at=self.at or now,
        )


class _Case(Message):
    """One example, as it is written down."""

    why: Sentence
    from_: Annotated[DeskId, Field(alias="from")]
    to: DeskId
    what: Word
    expected: Literal["permit", "refuse"]
    by: Annotated[tuple[PolicyId, ...], Field(min_length=1, max_length=64)]


@dataclass(frozen=True, slots=True)
class Case:
    """One example; `why` is the sentence that a lawyer agrees or disagrees with.

    Args:
        number: its place in the table, from 1.
        what: the name of what is sent; `context` is what the rules see of it.
        allowed: whether it may go.
        by: rules that the answer must name; it may name others as well.
    """

    number: int
    why: str
    sender: Party
    recipient: Party
    what: str
    context: SendContext
    allowed: bool
    by: tuple[str, ...]

    def holds(self, decision: Decision) -> bool:
        """Whether a decision is the one expected."""
        return decision.allowed == self.allowed and set(self.by) <= set(decision.policies)


@dataclass(frozen=True, slots=True)
class What:
    """What is sent, by its name in the table, in words, and as the access rules see it."""

    name: str
    says: str
    context: SendContext


@dataclass(frozen=True, slots=True)
class CaseTable:
    """The table, read against one council at one moment.

    Args:
        whats: everything that the table names as sent.
        parties: the desks that it declares itself, by id.
    """

    cases: tuple[Case, ...]
    whats: tuple[What, ...]
    parties: Mapping[str, Party]

    def run(self, rules: AccessRules) -> Iterator[tuple[Case, Decision]]:
        """Ask every case, in order."""
        for case in self.cases:
            yield case, rules.decide(case.sender, case.recipient, case.context)


def load_table(text: str, council: Council, at: datetime) -> CaseTable:
    """Read a table (`policy.cases.toml`).

    Args:
        text: TOML: sections `[what.NAME]`, of which `ordinary` is complete and every other takes from it
            what it does not say; `[desks."member/unit"]`; and `[[case]]`.
        council: where desks are looked up that the table does not declare.
        at: UTC: when what says no time of its own is sent.

    Raises:
        ConfigurationError: with every finding, each naming the section or the case's number, and the field.
    """
    document = _document(text)
    findings: list[str] = []
    read = {name: _read(_What, f"what.{name}", value, findings) for name, value in _whats(document)}
    whats = {name: What(name, what.says, what.context(at)) for name, what in read.items() if what}
    parties = dict(_parties(document, council, findings))

    def party(desk: str, what: What) -> Party | None:
        return parties.get(desk) or party_of(council, desk, what.context.at)

    cases = []
    for number, value in enumerate(_listed(document, "case", list, CASES_MAX), start=1):
        place = f"case {number}"
        case = _read(_Case, place, value, findings)
        if case is None:
            continue
        what = whats.get(case.what)
        if what is None:
            if case.what not in read:
                findings.append(f"{place}: what: no section [what.{case.what}]")
            continue
        sender, recipient = party(case.from_, what), party(case.to, what)
        for field, desk, found in (("from", case.from_, sender), ("to", case.to, recipient)):
            if found is None:
                findings.append(f"{place}: {field}: {desk} is neither in the council nor declared")
        if sender and recipient:
            by = tuple(sorted(set(case.by)))
            allowed = case.expected == "permit"
            cases.append(
                Case(number, case.why, sender, recipient, case.what, what.context, allowed, by)
            )
    if findings:
        raise _refusal(findings)
    return CaseTable(tuple(cases), tuple(whats.values()), parties)


def load_whats(text: str, at: datetime) -> tuple[What, ...]:
    """Read only what a table names as sent, whatever the council; arguments and errors as `load_table`."""
    findings: list[str] = []
    whats = []
    for name, value in _whats(_document(text)):
        what = _read(_What, f"what.{name}", value, findings)
        if what:
            whats.append(What(name, what.says, what.context(at)))
    if findings:
        raise _refusal(findings)
    return tuple(whats)


def _refusal(findings: Iterable[str]) -> ConfigurationError:
    return ConfigurationError(
        "\n- ".join(("the table of cases is refused; correct it:", *findings))
    )


def _document(text: str) -> dict[str, Any]:
    if len(text.encode(errors="replace")) > TABLE_BYTES_MAX:
        raise _refusal([f"more than {TABLE_BYTES_MAX} bytes"])
    try:
        document = tomllib.loads(text)
    except ValueError as error:
        raise _refusal([f"it is no TOML: {error}"]) from error
    except RecursionError as error:
        raise _refusal(["it nests too deeply"]) from error
    if unknown := sorted(document.keys() - {"what", "desks", "case"}):
        raise _refusal([f"[{unknown[0]}]: it has sections what, desks and case only"])
    return document


def _listed(document: Mapping[str, Any], name: str, kind: type, count_max: int) -> Any:
    found: Any = document.get(name, kind())
    if not issubclass(type(found), kind):
        raise _refusal([f"{name}: it is not what the table's head describes"])
    if len(found) > count_max:
        raise _refusal([f"{name}: more than {count_max}"])
    return found


def _whats(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every section of `what`, completed from the base."""
    sections = _listed(document, "what", dict, WHATS_MAX)
    base = sections.get(BASE)
    if not isinstance(base, dict):
        raise _refusal([f"what.{BASE}: the section from which the others take is missing"])
    for name, section in sections.items():
        yield name, {**base, **section} if isinstance(section, dict) else section


def _parties(
    document: Mapping[str, Any], council: Council, findings: list[str]
) -> Iterator[tuple[str, Party]]:
    for desk, value in _listed(document, "desks", dict, TABLE_DESKS_MAX).items():
        place = f'desks."{desk}"'
        member, _, unit = desk.partition("/")
        if not unit or not member:
            findings.append(f"{place}: a desk is MEMBER/UNIT")
            continue
        if member in council.members and unit in council.members[member].desks:
            findings.append(f"{place}: the council has this desk: take the section away")
            continue
        read = _read(_Desk, place, value, findings)
        if read:
            yield desk, _party(desk, read)


def _party(desk: str, read: _Desk) -> Party:
    return Party(
        desk=desk,
        kind=read.kind,
        functions=tuple(sorted(set(read.functions))),
        tlp_ceiling=read.tlp,
        classification_ceiling=read.classification,
        groups=tuple(sorted(set(read.groups))),
        channels=tuple(sorted(set(read.channels))),
        operations=tuple(sorted(set(read.operations))),
    )


def _read(model: type[Model], place: str, value: Any, findings: list[str]) -> Model | None:
    try:
        # Strict as JSON is: a lax reading would take "yes" for a boolean. A date of TOML becomes a text.
        return model.model_validate_json(json.dumps(value, default=str), strict=True)
    except RecursionError:
        findings.append(f"{place}: it nests too deeply")
        return None
    except ValidationError as error:
        for item in error.errors(include_url=False):
            field = ".".join(str(step) for step in item["loc"]) or "section"
            findings.append(f"{place}: {field}: {item['msg'].removeprefix('Value error, ')}")
        return None
