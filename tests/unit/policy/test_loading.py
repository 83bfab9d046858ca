"""Rules are refused at load for every reason to refuse them, each named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from broker.policy.loading import NESTING_SIGNS_MAX, POLICIES_MAX, TEXT_BYTES_MAX, load_rules
from broker.policy.rules import AccessRules, default_texts
from schemas.entries import AcceptedRecipient
from schemas.errors import ConfigurationError

Load = Callable[[str], AccessRules]

ALL = "(principal, action, resource)"
SCHEMA = default_texts()[1]


@pytest.mark.parametrize(
    ("policy_text", "finding"),
    [
        (f"permit {ALL};", "policy number 1: has no @id"),
        (f'@id("a") permit {ALL};\n// for \u202e all', "the rules: line 2 has U+202E"),
        (f'// nobody\u2028@id("a")\n@id("b") permit {ALL};', "the rules: line 1 has U+2028"),
        (f'// nobody\r@id("a") permit {ALL};', "the rules: line 1 has U+000D"),
        (f'@id("a") permit {ALL}; forbid {ALL};', "policy number 2: has no @id"),
        (f"@id permit {ALL};", "policy number 1: has no @id"),
        (f'@id("a") permit {ALL}; @id("a") forbid {ALL};', "a: 2 policies have this @id"),
        (f'@id("a") @id("b") permit {ALL};', "the rules: duplicate annotation: @id"),
        (f'@id("A") permit {ALL};', "'A': an @id is 1 to 64 of a-z"),
        (f'@id("a\\n") permit {ALL};', "an @id is 1 to 64 of a-z"),
        (f'@id("{"a" * 65}") permit {ALL};', "an @id is 1 to 64 of a-z"),
        (f'@id("no-permit") forbid {ALL};', "no-permit: this @id has a meaning of its own"),
        (f'@id("evaluation-error") permit {ALL};', "evaluation-error: this @id has a meaning"),
        (f'@id("a") permit {ALL}', "the rules: unexpected end of input"),
        (f'@id("a") permit {ALL} when {{ principal.rank > 1 }};', "a: attribute `rank`"),
        (f'@id("a") permit {ALL} when {{ context.at > 1 }};', "a: unexpected type"),
        (f'@id("a") permit {ALL} when {{ [1, "b"].contains(1) }};', "not compatible"),
        (f'@id("a") permit {ALL} when {{ context.kind == Kind::"judical" }};', "a: entity `Kind::"),
        ('@id("a") permit (principal, action == Action::"read", resource);', "a: unrecognized"),
        ('@id("a") permit (principal == ?principal, action, resource);', "a: a template decides"),
        (
            f'@id("a") permit {ALL} when {{ Desk::"tn/main".member == "tn" }};',
            "a: reads attributes of another than principal",
        ),
        (
            f'@id("a") forbid {ALL} when {{ Desk::"tn/main" has member }};',
            "a: reads attributes of another than principal",
        ),
        (
            f'@id("a") permit {ALL} when {{ (if true then principal else Desk::"b").member == "c" }};',
            "a: reads attributes of another than principal",
        ),
    ],
)
def test_wrong_rules_are_refused(policy_text: str, finding: str, load: Load) -> None:
    """A wrong policy is refused when it is loaded, and the reason names it."""
    with pytest.raises(ConfigurationError) as refusal:
        load(policy_text)
    assert finding in str(refusal.value)


def test_every_finding_is_listed(load: Load) -> None:
    """One refusal tells all that is wrong, each on its line."""
    policy_text = f"""
        permit {ALL};
        @id("twice") permit {ALL};
        @id("twice") forbid {ALL} when {{ resource.rank > 1 }};
        @id("fine") forbid {ALL};
    """
    with pytest.raises(ConfigurationError) as refusal:
        load(policy_text)
    assert str(refusal.value).split("\n- ")[1:] == [
        "policy number 1: has no @id",
        "twice: 2 policies have this @id",
        "twice: attribute `rank` on entity type `Desk` not found",
    ]


def test_both_texts_are_parsed() -> None:
    """A schema that does not parse does not hide rules that do not parse either."""
    with pytest.raises(ConfigurationError) as refusal:
        AccessRules.load("permit", "entity")
    findings = str(refusal.value).split("\n- ")[1:]
    assert [finding.partition(":")[0] for finding in findings] == ["the schema", "the rules"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  groups: Set<String>,\n", ""),
        ("  member: String,\n", "  member: Long,\n"),
        ("  member: String,\n", "  member: String,\n  colour: String,\n"),
        ("    personal_data: Bool,\n", ""),
        ("    at: datetime\n", "    at: datetime,\n    weather: String\n"),
        ('enum ["state", "organisation"]', 'enum ["organisation"]'),
        ('enum ["actual", "exercise", "test"]', 'enum ["exercise", "test"]'),
    ],
)
def test_schema_for_other_facts_is_refused(old: str, new: str) -> None:
    """A schema that this protocol's facts do not fit is refused, not found out envelope by envelope."""
    assert old in SCHEMA
    with pytest.raises(ConfigurationError, match="the schema: does not describe"):
        AccessRules.load("", SCHEMA.replace(old, new))


def test_optional_attribute_needs_a_question() -> None:
    """A rule may read an optional attribute only after asking whether it is there."""
    schema = SCHEMA.replace("  member: String,\n", "  member: String,\n  colour?: String,\n")
    careless = f'@id("a") forbid {ALL} when {{ resource.colour == "red" }};'
    with pytest.raises(ConfigurationError, match="a: unable to guarantee safety"):
        AccessRules.load(careless, schema)
    careful = careless.replace("resource.colour ==", "resource has colour && resource.colour ==")
    assert AccessRules.load(careful, schema).ids == ("a",)


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("(", ")"),
        ("{a: ", "}"),
        ("[", "]"),
        ("!(", ")"),
        ("if true then true else ", ""),
        ("true && ", ""),
        ("true || ", ""),
        ("1 + ", ""),
        ("1 - ", ""),
        ("1 * ", ""),
        ("context.at", ".toDate()"),
        ("context", ".a"),
        ("// ;\n(", ")"),
        ("// ;\r(", ")"),
        ('";" == ";" && (', ")"),
        ('"\\";" == "" || (', ")"),
    ],
)
def test_deep_conditions_never_reach_cedar(opening: str, closing: str, load: Load) -> None:
    """Nesting on which Cedar would kill the process is refused before, strings and comments or not."""
    deep = opening * 5000 + "true" + closing * 5000
    text = f'@id("a") permit {ALL} when {{ {deep} }};'
    with pytest.raises(ConfigurationError, match="statement number 1 has more than 128 operators"):
        load(text)


def test_deep_types_never_reach_cedar() -> None:
    """The schema is measured as the rules are."""
    deep = f"type Deep = {'Set<' * 12000}Long{'>' * 12000};"
    with pytest.raises(ConfigurationError, match="the schema: statement number"):
        AccessRules.load("", SCHEMA + deep)


def test_operators_are_counted_by_policy(load: Load) -> None:
    """The limit itself loads, in each of several policies; one operator more does not."""
    # The annotation and the scope have one bracket each, every clause has one.
    full = f"permit {ALL} {'when { true } ' * (NESTING_SIGNS_MAX - 2)}"
    assert load(f'@id("a") {full}; @id("b") {full};').ids == ("a", "b")
    with pytest.raises(ConfigurationError, match="statement number 2 has"):
        load(f'@id("a") {full}; @id("b") {full} when {{ true }};')


def test_long_condition_is_refused(load: Load) -> None:
    """A condition too deep to be looked through is refused."""
    with pytest.raises(ConfigurationError, match="nesting exceeds"):
        load(f'@id("a") permit {ALL} when {{ {" && ".join(["true"] * 110)} }};')


def test_text_has_a_limit(load: Load) -> None:
    """A text of the limit's size loads, one byte more does not."""
    assert load("/".ljust(TEXT_BYTES_MAX, "/")).ids == ()
    with pytest.raises(ConfigurationError, match="more than 65536 bytes"):
        load("/".ljust(TEXT_BYTES_MAX + 1, "/"))


def test_number_of_policies_is_what_an_entry_holds(load: Load) -> None:
    """As many policies as the limit can all be logged for a recipient, and one more is refused."""
    rules = load("".join(f'@id("p{n}") permit {ALL};' for n in range(POLICIES_MAX)))
    AcceptedRecipient(desk="tn/main", place="0" * 64, policies=rules.ids)
    with pytest.raises(ValidationError):
        AcceptedRecipient(desk="tn/main", place="0" * 64, policies=(*rules.ids, "q"))
    with pytest.raises(ConfigurationError, match="more than 256 policies"):
        load("".join(f'@id("p{n}") permit {ALL};' for n in range(POLICIES_MAX + 1)))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("context.personal_data", False),
        ("context.marking.tlp_rank > 1", False),
        ('resource.member == "at"', False),
        ('context.at > datetime("2026-01-01")', True),
        ("context has at", True),
        ("context == context", True),
        ("[context].contains(context)", True),
        ('!(context.personal_data && context.at.toDate() == datetime("2026-01-01"))', True),
    ],
)
def test_reading_the_time_is_noticed(condition: str, expected: bool) -> None:
    """Rules that can depend on the time are told from those that cannot."""
    loaded = load_rules(f'@id("a") permit {ALL} when {{ {condition} }};', SCHEMA)
    assert loaded.reads_time == expected


def test_a_schema_that_doubles_with_each_type_is_refused() -> None:
    """Forty of them in one kilobyte would be read for hours."""
    types = "".join(f"type T{n} = {{a: T{n + 1}, b: T{n + 1}}};\n" for n in range(40))
    schema = f"{SCHEMA}\n{types}type T40 = Long;\nentity Z {{ t: T0 }};"
    with pytest.raises(ConfigurationError, match="named types"):
        load_rules(f'@id("a") permit {ALL};', schema)
    entities = "".join(f"entity Z{n};\n" for n in range(60))
    with pytest.raises(ConfigurationError, match="entities, actions and types"):
        load_rules(f'@id("a") permit {ALL};', SCHEMA + entities)
