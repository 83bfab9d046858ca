"""Reading access rules strictly: every reason to refuse them is found before they decide anything.

May import cedarpy, `schemas` and `broker.policy.context`; `broker.policy.rules` decides with it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import cedarpy
from cedarpy import pst
from pydantic import TypeAdapter, ValidationError

from broker.policy.context import Party, SendContext, cedar_context, cedar_entity, cedar_request
from schemas.bulletin.vocabularies import (
    Classification,
    DeskFunction,
    Kind,
    Precedence,
    Purpose,
    Status,
    Tlp,
    Topic,
)
from schemas.entries import PolicyId
from schemas.envelope import HeaderMarking
from schemas.errors import ConfigurationError

NO_PERMIT: Final = "no-permit"
"""Named by a refusal when no policy permits."""

EVALUATION_ERROR: Final = "evaluation-error"
"""Named by a refusal when any policy could not be evaluated."""

POLICIES_MAX: Final = 256
"""Policies of one rule set: an accepted entry lists at most so many for a recipient."""

TEXT_BYTES_MAX: Final = 64 * 1024
"""Bytes of the rules, and of their schema; those shipped take 6 KB and 3 KB."""

NESTING_SIGNS_MAX: Final = 128
"""Signs in one policy that can nest: Cedar recurses at each, and at some hundreds kills the process."""

DECLARATIONS_MAX: Final = 64
"""Entities, actions and types of a schema; the shipped one has 14."""

TYPES_MAX: Final = 8
"""Named types of a schema, of which the shipped one has two."""

_DECLARED: Final = re.compile(r"^\s*(?:entity|action|type|namespace)\b", re.MULTILINE)
_TYPE: Final = re.compile(r"\btype\s+\w+\s*=")

_PLACE: Final = re.compile(r"for policy `policy\d+`[,:] ")
_QUOTED: Final = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n\r]*')
"""Strings and comments of Cedar, in which nothing nests."""

_MISLEADING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""By these people see other rules than Cedar reads: controls, other line ends, changes of direction."""

_NESTING: Final = re.compile(r"[(\[{<.!+*-]|&&|\|\||\bif\b")
_ID: Final = TypeAdapter[str](PolicyId)

_Given = TypeVar("_Given")
_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """Rules that passed every check.

    Args:
        names: Cedar's positional name (`policy0`) → @id.
        rules: @id → the policy as Cedar read it.
        reads_time: whether any rule can look at `context.at`.
    """

    policies: cedarpy.PolicySet
    schema: cedarpy.Schema
    schema_text: str
    names: Mapping[str, str]
    rules: Mapping[str, pst.Template]
    reads_time: bool


def load_rules(policy_text: str, schema_text: str) -> LoadedRules:
    """Parse rules and validate them against their schema (Cedar's strict validation).

    1. Neither text is too long, reads otherwise to people than to Cedar, or can nest too deeply to be
       parsed in safety.
    2. Both parse.
    3. Every policy has a well-formed @id of its own, is no template, and reads only the two desks.
    4. Every policy is valid against the schema.
    5. The schema fits the facts that `broker.policy.context` writes.

    Raises:
        ConfigurationError: with every finding, each naming its policy by @id.
    """
    findings = [
        *_text_findings("the rules", policy_text),
        *_text_findings("the schema", schema_text),
    ]
    if findings:
        raise _refusal(findings)

    schema = _parse(cedarpy.Schema.from_str, schema_text, "the schema", findings)
    policies = _parse(cedarpy.PolicySet.from_str, policy_text, "the rules", findings)
    if schema is None or policies is None:
        raise _refusal(findings)
    tree = _parse(cedarpy.PolicySet.to_pst, policies, "the rules", findings)
    if tree is None:
        raise _refusal(findings)

    rules = {**tree.static_policies, **tree.templates}
    findings += _identity_findings(rules)
    findings += _structure_findings(rules)
    for error in cedarpy.validate_policies(policy_text, schema).errors:
        name = _name(rules[error.policy_id]) if error.policy_id in rules else "the rules"
        findings.append(f"{name}: {_PLACE.sub('', error.error)}")
    findings += _fit_findings(schema)
    if findings:
        raise _refusal(findings)

    names = {position: rule.annotations["id"] for position, rule in rules.items()}
    by_name = {names[position]: rule for position, rule in rules.items()}
    return LoadedRules(policies, schema, schema_text, names, by_name, _reads_time(tree))


def _refusal(findings: list[str]) -> ConfigurationError:
    return ConfigurationError(
        "\n- ".join(("the access rules are refused; correct them:", *findings))
    )


def _parse(
    parser: Callable[[_Given], _Parsed], text: _Given, what: str, findings: list[str]
) -> _Parsed | None:
    try:
        return parser(text)
    except ValueError as error:
        findings.append(f"{what}: {error}")
        return None


def _text_findings(what: str, text: str) -> Iterator[str]:
    if len(text.encode(errors="replace")) > TEXT_BYTES_MAX:
        yield f"{what}: more than {TEXT_BYTES_MAX} bytes"
    if len(_DECLARED.findall(text)) > DECLARATIONS_MAX:
        yield f"{what}: more than {DECLARATIONS_MAX} entities, actions and types"
    types = _TYPE.findall(_QUOTED.sub("", text))
    if len(types) > TYPES_MAX:
        # Each may hold the others twice: reading them would double with each.
        yield f"{what}: more than {TYPES_MAX} named types"
    for number, line in enumerate(text.split("\n"), start=1):
        if found := _MISLEADING.search(line):
            yield f"{what}: line {number} has U+{ord(found[0]):04X}, which makes people read it otherwise"
    for number, part in enumerate(_QUOTED.sub("", text).split(";"), start=1):
        if len(_NESTING.findall(part)) > NESTING_SIGNS_MAX:
            yield f"{what}: statement number {number} has more than {NESTING_SIGNS_MAX} operators"


def _name(rule: pst.Template) -> str:
    """The @id, or the place in the text where there is none."""
    return rule.annotations.get("id") or f"policy number {int(rule.id.removeprefix('policy')) + 1}"


def _identity_findings(rules: Mapping[str, pst.Template]) -> Iterator[str]:
    if len(rules) > POLICIES_MAX:
        yield f"the rules: more than {POLICIES_MAX} policies"
    for rule in rules.values():
        if not rule.annotations.get("id"):
            yield f"{_name(rule)}: has no @id"
        elif rule.annotations["id"] in {NO_PERMIT, EVALUATION_ERROR}:
            yield f"{_name(rule)}: this @id has a meaning of its own in refusals"
        elif not _well_formed(rule.annotations["id"]):
            yield f"{_name(rule)!r}: an @id is 1 to 64 of a-z, 0-9, dot, hyphen, underscore"
    counted = Counter(rule.annotations.get("id", "") for rule in rules.values())
    for name in sorted(name for name, count in counted.items() if name and count > 1):
        yield f"{name}: {counted[name]} policies have this @id"


def _well_formed(name: str) -> bool:
    try:
        _ID.validate_python(name)
    except ValidationError:
        return False
    return True


def _structure_findings(rules: Mapping[str, pst.Template]) -> Iterator[str]:
    for rule in rules.values():
        if any(isinstance(node, pst.Slot) for node in walk(rule)):
            yield f"{_name(rule)}: a template decides nothing; write the policy out"
        # A desk named in a rule exists for Cedar only where it happens to be sender or recipient as
        # well: whether its attributes can be read would depend on who else gets the envelope.
        if any(_reads_elsewhere(node) for node in walk(rule)):
            yield f"{_name(rule)}: reads attributes of another than principal, resource and context"


def _reads_elsewhere(node: object) -> bool:
    if not isinstance(node, pst.GetAttr | pst.HasAttr):
        return False
    base = node.base
    while isinstance(base, pst.GetAttr):
        base = base.base
    return not isinstance(base, pst.Var)


def _reads_time(tree: pst.PolicySet) -> bool:
    """Whether a rule reads `context.at`, or `context` as a whole; else the time cannot matter."""
    pending: list[object] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, pst.Var) and node.name == "context":
            return True
        if isinstance(node, pst.GetAttr) and node.base == pst.Var("context") and node.attr != "at":
            continue
        pending.extend(children(node))
    return False


def walk(root: object) -> Iterator[object]:
    """Give every node of a policy's tree, from the root down."""
    pending = [root]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(children(node))


def children(node: Any) -> Iterator[object]:
    """Give what stands directly below a node of a policy's tree."""
    if isinstance(node, Mapping):
        yield from node.values()
    elif isinstance(node, tuple):
        yield from node
    elif is_dataclass(node):
        yield from (getattr(node, field.name) for field in fields(node))


def _fit_findings(schema: cedarpy.Schema) -> Iterator[str]:
    """Ask about one ordinary envelope: a schema for other facts would deny everything later."""
    desk = Party(
        desk="xx/main",
        kind="state",
        functions=(DeskFunction.MAIN,),
        tlp_ceiling=Tlp.CLEAR,
        classification_ceiling=Classification.UNCLASSIFIED,
        groups=("all",),
        channels=("all",),
        operations=("all",),
    )
    context = SendContext(
        status=Status.ACTUAL,
        kind=Kind.THREAT_BULLETIN,
        topics=(Topic.ARMS,),
        purpose=Purpose.TRAINING,
        precedence=Precedence.ROUTINE,
        personal_data=False,
        marking=HeaderMarking(
            tlp=Tlp.CLEAR, classification=Classification.UNCLASSIFIED, caveats=()
        ),
        at=datetime(1970, 1, 1, tzinfo=UTC),
    )
    request = cedar_request(desk.desk, desk.desk, cedar_context(context))
    try:
        entities = cedarpy.Entities.from_json_str(f"[{cedar_entity(desk)}]", schema)
    except ValueError as error:
        yield f"the schema: does not describe desks as this protocol does ({error})"
        return
    nothing = cedarpy.PolicySet.from_str("")
    for reason in cedarpy.is_authorized(request, nothing, entities, schema).diagnostics.errors:
        yield f"the schema: does not describe what is sent as this protocol does ({reason})"
