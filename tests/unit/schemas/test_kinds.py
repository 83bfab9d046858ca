"""The rules of each kind: each broken once, and refused with its path and code."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import floor, isclose
from typing import Any

import pytest

from schemas.bulletin import KINDS, Bulletin, Kind, RiskAssessment, parse_bulletin
from schemas.bulletin.cooperation_notice import NEEDS
from schemas.bulletin.limits import COUNTS_MAX
from schemas.bulletin.risk_assessment import geometric_mean
from schemas.bulletin.vocabularies import (
    Activity,
    AnswerOutcome,
    CasualtyGroup,
    CountMeasure,
    IncidentType,
    Topic,
)
from schemas.errors import ParseError
from schemas.loader import dump_json
from schemas.rules import Language, explain

Example = Callable[[str], dict[str, Any]]
ABSENT = object()
TEXT = {"ar": "نص"}
REFUSALS: dict[str, list[tuple[str, object, str, str]]] = {
    "risk_assessment": [
        ("threat.magnitude.level", 0, "$.threat.magnitude.level", "greater_than_equal"),
        ("threat.likelihood.level", 6, "$.threat.likelihood.level", "less_than_equal"),
        ("threat.likelihood.reason", ABSENT, "$.threat.likelihood.reason", "missing"),
        ("threat.likelihood", 4, "$.threat.likelihood", "model_type"),
        ("vulnerability.level", 3.5, "$.vulnerability.level", "json_float"),
        ("vulnerability.reason", {"ar": "<b>"}, "$.vulnerability.reason.ar", "html"),
        ("impact", ABSENT, "$.impact", "missing"),
        ("risk.result", 5, "$", "risk_result"),
        ("risk.result", 3, "$", "risk_result"),
        ("risk.method", "Matrix", "$.risk.method", "string_pattern_mismatch"),
        ("risk.method", ABSENT, "$.risk.method", "missing"),
        ("trend", "rising", "$.trend", "enum"),
        ("confidence", "medium", "$.confidence", "enum"),
        ("border_segments", [], "$.border_segments", "too_short"),
        ("border_segments.0.impact_level", "severe", "$.border_segments[0].impact_level", "enum"),
        ("border_segments.0.countries", ["ML", "DZ"], "$.border_segments[0].countries", "sorted"),
        (
            "border_segments.0.countries",
            ["DZ", "QQ"],
            "$.border_segments[0].countries[1]",
            "country",
        ),
        (
            "border_segments.0.countries",
            ["DZ", "ML", "NE"],
            "$.border_segments[0].countries",
            "too_long",
        ),
        (
            "border_segments.0.geometry.type",
            "Point",
            "$.border_segments[0].geometry",
            "union_tag_invalid",
        ),
        ("root_causes.0.domain", "religious", "$.root_causes[0].domain", "enum"),
        ("recommendations.0.due", "2026-11-23T09:00:00Z", "$", "after_created"),
        ("recommendations.0.measure", ABSENT, "$.recommendations[0].measure", "missing"),
        ("recommendations", [{"measure": TEXT}] * 33, "$.recommendations", "too_long"),
    ],
    "incident_report": [
        ("observed", ABSENT, "$.observed", "missing"),
        ("places", ABSENT, "$.places", "missing"),
        ("places", [], "$.places", "too_short"),
        ("places", [{"name": TEXT}] * 65, "$.places", "too_long"),
        ("incident", "drug_smuggling", "$.incident", "enum"),
        ("incident", "IrregularBorderEntry", "$.incident", "enum"),
        ("urgency", "Immediate", "$.urgency", "enum"),
        ("severity", "high", "$.severity", "enum"),
        ("certainty", ABSENT, "$.certainty", "missing"),
        ("casualties.0.dead", -1, "$.casualties[0].dead", "greater_than_equal"),
        ("casualties.0.group", "soldiers", "$.casualties[0].group", "enum"),
        ("casualties.1.group", "security_forces", "$", "twice"),
        ("casualties.0", {"group": "others"}, "$.casualties[0]", "nothing_given"),
        ("seizures.0.goods", "guns", "$.seizures[0].goods", "enum"),
        ("seizures.0.quantity.amount", 0, "$.seizures[0].quantity.amount", "greater_than_equal"),
        ("seizures.0.quantity.amount", 0.5, "$.seizures[0].quantity.amount", "json_float"),
        (
            "seizures.0.quantity.unit",
            "kg",
            "$.seizures[0].quantity.unit",
            "string_pattern_mismatch",
        ),
        ("seizures.0.quantity.kilograms", 1, "$.seizures[0].quantity.kilograms", "extra_forbidden"),
        ("seizures.0.entity", "nothing", "$", "unknown_entity"),
        ("response.measures", [], "$.response.measures", "too_short"),
        ("response.measures", ["seizure", "arrest"], "$.response.measures", "sorted"),
        ("response.measures", ["warning"], "$.response.measures[0]", "enum"),
        ("response.arrested", "3", "$.response.arrested", "int_type"),
    ],
    "situation_report": [
        ("period", ABSENT, "$.period", "missing"),
        ("period.until", ABSENT, "$.period.until", "missing"),
        ("period.until", "2026-11-15T23:59:59Z", "$.period", "period"),
        ("sections", [], "$.sections", "too_short"),
        ("sections", [{"title": TEXT, "text": TEXT}] * 33, "$.sections", "too_long"),
        ("sections.0.title", {"ar": "a\nb"}, "$.sections[0].title.ar", "control_character"),
        ("sections.0.text", {"ar": "<i>x"}, "$.sections[0].text.ar", "html"),
        ("counts.0.topic", "weather", "$.counts[0].topic", "enum"),
        ("counts.0.topic", "arms", "$", "topic_not_listed"),
        ("counts.0.measure", "detections", "$.counts[0].measure", "enum"),
        ("counts.1.measure", "irregular_crossings", "$", "twice"),
        ("counts.0.count", -1, "$.counts[0].count", "greater_than_equal"),
        ("counts.0.count", ABSENT, "$.counts[0].count", "missing"),
    ],
    "information_request": [
        ("questions", [], "$.questions", "too_short"),
        (
            "questions",
            [{"id": f"q{n}", "text": TEXT} for n in range(33)],
            "$.questions",
            "too_long",
        ),
        ("questions.0.id", "1", "$.questions[0].id", "string_pattern_mismatch"),
        ("questions.0.id", "phone", "$", "twice"),
        ("questions.0.text", ABSENT, "$.questions[0].text", "missing"),
        ("questions.0.about", "nobody", "$", "unknown_entity"),
        ("grounds", {"ar": " "}, "$.grounds.ar", "blank"),
        ("deadline", ABSENT, "$.deadline", "missing"),
        ("deadline", "2026-11-18T09:30:00Z", "$", "after_created"),
        ("deadline", "2026-12-02T09:30:01Z", "$", "deadline"),
    ],
    "information_reply": [
        ("in_reply_to", ABSENT, "$.in_reply_to", "missing"),
        ("in_reply_to.desk", "ma", "$.in_reply_to.desk", "string_pattern_mismatch"),
        ("answers", [], "$.answers", "too_short"),
        ("answers.0.outcome", "yes", "$.answers[0].outcome", "enum"),
        ("answers.0.question", "phone", "$", "twice"),
        ("answers.0.question", ABSENT, "$.answers[0].question", "missing"),
        ("answers.0.text", ABSENT, "$", "answer_text"),
        ("answers.1.outcome", "refused", "$", "answer_text"),
        ("answers.0.evaluation.reliability", "a", "$.answers[0].evaluation.reliability", "enum"),
        ("questions", [], "$.questions", "extra_forbidden"),
    ],
    "cooperation_notice": [
        ("activity", "conference", "$.activity", "enum"),
        ("languages", [], "$.languages", "too_short"),
        ("languages", ["fr", "ar"], "$.languages", "sorted"),
        ("languages", ["Arabic"], "$.languages[0]", "string_pattern_mismatch"),
        ("languages", ABSENT, "$.languages", "missing"),
        ("time", ABSENT, "$", "notice_needs"),
        ("time.until", "2027-01-18T07:59:59Z", "$.time", "period"),
        ("venue", ABSENT, "$", "notice_needs"),
        ("venue.country", "XX", "$.venue.country", "country"),
        ("agenda", [TEXT] * 33, "$.agenda", "too_long"),
        (
            "contact_points.0.phone",
            "021 555",
            "$.contact_points[0].phone",
            "string_pattern_mismatch",
        ),
        ("contact_points.0.email", "a@b", "$.contact_points[0].email", "string_pattern_mismatch"),
        ("contact_points.0", {"office": TEXT}, "$.contact_points[0]", "nothing_given"),
    ],
    "withdrawal": [
        ("withdraws", ABSENT, "$.withdraws", "missing"),
        ("withdraws", "19", "$.withdraws", "string_pattern_mismatch"),
        ("reason", ABSENT, "$.reason", "missing"),
        ("reason", {"ber": "x"}, "$.reason", "languages"),
        ("supersedes", "019ab5c0-2a00-7a11-8c01-5f0e6d7a00ff", "$.supersedes", "extra_forbidden"),
    ],
}
CASES = [(kind, *refusal) for kind, refusals in REFUSALS.items() for refusal in refusals]


def changed(bulletin: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Set one member by its dotted path; numbers are indices, ABSENT removes."""
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    holder: Any = bulletin
    for step in parents:
        holder = holder[step]
    if value is ABSENT:
        del holder[last]
    else:
        holder[last] = value
    return bulletin


def errors(plain: dict[str, Any]) -> ParseError:
    """Parse what must be refused, and give the error."""
    with pytest.raises(ParseError) as caught:
        parse_bulletin(dump_json(plain))
    return caught.value


def read(plain: dict[str, Any]) -> Bulletin:
    """Parse what must be taken."""
    return parse_bulletin(dump_json(plain))


@pytest.mark.parametrize(("kind", "path", "value", "where", "code"), CASES)
def test_refuses(
    example: Example, kind: str, path: str, value: object, where: str, code: str
) -> None:
    """A bulletin that breaks one rule is refused with that rule's path and code, and no other."""
    broken = {
        (error.path, error.code) for error in errors(changed(example(kind), path, value)).errors
    }
    assert broken == {(where, code)}


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_its_model(kind: Kind, example: Example) -> None:
    """Each kind is read by the model of the table, and says so itself."""
    bulletin = read(example(kind.value))
    assert type(bulletin) is KINDS[kind]
    assert bulletin.kind is kind


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind.value in REFUSALS])
def test_a_kind_does_not_take_the_members_of_another(kind: Kind, example: Example) -> None:
    """A bulletin under the wrong kind is refused by the model of that kind."""
    plain = example("threat_bulletin") | {"kind": kind.value}
    assert ("$.actors", "extra_forbidden") in {(e.path, e.code) for e in errors(plain).errors}


@pytest.mark.parametrize(
    ("language", "rule"),
    [
        ("en", "the method geometric_mean gives the result 4"),
        ("fr", "la méthode geometric_mean donne le résultat 4"),
        ("ar", "تعطي الطريقة geometric_mean النتيجة 4"),
    ],
)
def test_says_what_is_broken(example: Example, language: Language, rule: str) -> None:
    """The reader learns in her language what the result should be."""
    caught = errors(changed(example("risk_assessment"), "risk.result", 1))
    assert [error.rule for error in explain(caught.errors, language)] == [rule]


def test_the_default_method_is_the_geometric_mean() -> None:
    """For all 625 combinations the whole numbers give what the roots give, a half rounded upward."""
    for m, p, v, i in product(range(1, 6), repeat=4):
        mean = ((m * p) ** 0.5 * v * i) ** (1 / 3)
        assert not isclose(mean % 1, 0.5, abs_tol=1e-9)
        assert geometric_mean(m, p, v, i) == floor(mean + 0.5), (m, p, v, i)


def test_the_default_method_never_falls_where_a_component_rises() -> None:
    """More threat, more vulnerability or more impact is never less risk; ends of the scale are kept."""
    for levels in product(range(1, 5), repeat=4):
        for place in range(4):
            higher = [level + (place == n) for n, level in enumerate(levels)]
            assert geometric_mean(*higher) >= geometric_mean(*levels)
    assert geometric_mean(1, 1, 1, 1) == 1
    assert geometric_mean(5, 5, 5, 5) == 5
    assert geometric_mean(5, 5, 1, 5) == 3


def test_another_method_keeps_its_own_result(example: Example) -> None:
    """A method that the council agreed on is not judged by the default one."""
    plain = changed(example("risk_assessment"), "risk", {"method": "council_matrix_2", "result": 5})
    bulletin = read(plain)
    assert isinstance(bulletin, RiskAssessment)
    assert (bulletin.risk.method, bulletin.risk.result) == ("council_matrix_2", 5)


def test_a_segment_may_be_a_coast(example: Example) -> None:
    """A segment of sea border belongs to one country."""
    read(changed(example("risk_assessment"), "border_segments.0.countries", ["DZ"]))


def test_unknown_is_not_none(example: Example) -> None:
    """Casualties that are not known are absent, and 0 says that there are none."""
    plain = example("incident_report")
    plain["casualties"] = [{"group": group.value, "dead": 0} for group in CasualtyGroup]
    read(plain)
    assert ("$.casualties", "too_long") in {
        (e.path, e.code)
        for e in errors(
            plain | {"casualties": [*plain["casualties"], {"group": "others", "dead": 1}]}
        ).errors
    }


def test_every_measure_of_every_topic_can_be_counted(example: Example) -> None:
    """The limit of counts leaves room for each measure of each topic, and for no other."""
    counts = [
        {"topic": topic.value, "measure": measure.value, "count": 0}
        for topic, measure in product(Topic, CountMeasure)
    ]
    assert len(counts) == COUNTS_MAX
    topics = sorted(topic.value for topic in Topic)
    read(example("situation_report") | {"topics": topics, "counts": counts})


def test_a_request_needs_no_action(example: Example) -> None:
    """The deadline stands alone where no desk is told to act."""
    plain = example("information_request")
    del plain["action"]
    read(plain)
    plain["action"] = {"informed": ["ml/main"]}
    read(plain)


@pytest.mark.parametrize("outcome", AnswerOutcome)
def test_only_nothing_known_needs_no_words(example: Example, outcome: AnswerOutcome) -> None:
    """A delay, a refusal and a part say why or what; nothing known says everything."""
    plain = changed(
        example("information_reply"), "answers.1", {"question": "x", "outcome": outcome}
    )
    if outcome is AnswerOutcome.NOTHING_KNOWN:
        read(plain)
    else:
        assert [error.code for error in errors(plain).errors] == ["answer_text"]


def test_what_notices_need_is_as_published() -> None:
    """What the protocol's appendix says of each activity is what the table has."""
    assert {activity.value: sorted(members) for activity, members in NEEDS.items()} == {
        "meeting": ["time", "venue"],
        "training": ["time", "venue"],
        "joint_operation": ["time"],
        "contact": ["contact_points"],
    }


@pytest.mark.parametrize("activity", Activity)
def test_a_notice_needs_what_its_activity_needs(example: Example, activity: Activity) -> None:
    """Each activity is refused without each member that it needs, and taken without all others."""
    optional = {"time", "venue", "agenda", "contact_points"}
    plain = example("cooperation_notice") | {"activity": activity.value}
    read({name: value for name, value in plain.items() if name not in optional - NEEDS[activity]})
    for member in NEEDS[activity]:
        without = {name: value for name, value in plain.items() if name != member}
        assert [error.code for error in errors(without).errors] == ["notice_needs"]


def test_a_withdrawal_withdraws_another(example: Example) -> None:
    """A bulletin that withdraws itself would never have been sent."""
    plain = example("withdrawal")
    plain["withdraws"] = plain["id"]
    assert [(e.path, e.code) for e in errors(plain).errors] == [("$", "withdraws_itself")]


def test_incident_types_are_words_of_cise() -> None:
    """Each type stands for one CISE word; the two lists are whole but for what the docstring leaves out."""
    words = [incident.cise for incident in IncidentType]
    assert len(words) == len(set(words)) == 63
    for start, count in {
        "HumanTrafficking": 8,
        "DrugSmuggling": 11,
        "GoodsSmuggling": 6,
        "SmugglingInWasteAndOtherHazardousMaterial": 6,
        "SmugglingInWeaponAndRelatedAccessories": 4,
        "Irregular": 5,
        "Facilitator": 2,
    }.items():
        assert sum(word.startswith(start) for word in words) == count, start
    assert IncidentType("weapon_smuggling_arms").cise == (
        "SmugglingInWeaponAndRelatedAccessoriesArmsWeapons"
    )
