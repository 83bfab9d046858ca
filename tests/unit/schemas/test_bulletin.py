"""The bulletin's rules: each broken once, and refused with its path and code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.bulletin import parse_bulletin
from schemas.bulletin.limits import TEXT_CHARACTERS_MAX
from schemas.bulletin.vocabularies import Likelihood
from schemas.errors import ParseError
from schemas.limits import BULLETIN_BYTES_MAX
from schemas.loader import dump_json

Example = Callable[[str], dict[str, Any]]
UUID = "019ab5c0-2a00-7a11-8c01-5f0e6d7a00ff"
ABSENT = object()


def changed(bulletin: dict[str, Any], path: str, value: object) -> bytes:
    """Set one member by its dotted path (numbers are indices; ABSENT removes), and write the bulletin."""
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    holder: Any = bulletin
    for step in parents:
        holder = holder[step]
    if value is ABSENT:
        del holder[last]
    else:
        holder[last] = value
    return dump_json(bulletin)


def codes(data: bytes) -> set[tuple[str, str]]:
    """Parse what must be refused, and give path and code of each broken rule."""
    with pytest.raises(ParseError) as caught:
        parse_bulletin(data)
    return {(error.path, error.code) for error in caught.value.errors}


def attachment(number: int, **other: object) -> dict[str, object]:
    """Make a valid attachment."""
    return {
        "id": UUID[:-2] + f"{number:02x}",
        "name": f"صورة {number}.jpg",
        "media_type": "image/jpeg",
        "size": 0,
        "sha256": "ab" * 32,
    } | other


THREAT_REFUSALS: list[tuple[str, object, str, str]] = [
    ("kind", "watch_list", "$.kind", "enum"),
    ("kind", ABSENT, "$.kind", "missing"),
    ("version", 2, "$.version", "less_than_equal"),
    ("version", True, "$.version", "int_type"),
    ("id", UUID.upper(), "$.id", "string_pattern_mismatch"),
    ("status", "Actual", "$.status", "enum"),
    ("status", "exercise", "$", "exercise"),
    ("exercise", "الدرع 7", "$", "exercise"),
    ("created", "2026-11-24T08:00:00.5Z", "$.created", "time"),
    ("personal_data", 1, "$.personal_data", "bool_type"),
    ("personal_data", False, "$", "personal_data"),
    ("surprise", 1, "$.surprise", "extra_forbidden"),
    ("originator.desk", "ly", "$.originator.desk", "string_pattern_mismatch"),
    ("originator.contact", "a\nb", "$.originator.contact", "control_character"),
    ("title", {"ber": "x"}, "$.title", "languages"),
    ("title", {}, "$.title", "languages"),
    ("title.AR", "x", "$.title.AR", "string_pattern_mismatch"),
    ("title.ar", "", "$.title.ar", "string_too_short"),
    ("title.ar", " \u00a0", "$.title.ar", "blank"),
    ("title.ar", "أ\u202eب", "$.title.ar", "control_character"),
    ("title.ar", "\u0627" * 301, "$.title.ar", "string_too_long"),
    ("summary.ar", "<b>x", "$.summary.ar", "html"),
    ("text.ar", "x </p>", "$.text.ar", "html"),
    ("text.ar", "<!-- x -->", "$.text.ar", "html"),
    ("text.ar", "<?php", "$.text.ar", "html"),
    ("text.ar", "<img src=x onerror=y>", "$.text.ar", "html"),
    ("text.ar", "<https://x y>", "$.text.ar", "html"),
    ("text.ar", "\x1b[2J", "$.text.ar", "control_character"),
    ("text.ar", "\u0627" * (TEXT_CHARACTERS_MAX + 1), "$.text.ar", "string_too_long"),
    ("text", {f"{a}a": "x" for a in "abcdefghi"} | {"ar": "x"}, "$.text", "too_long"),
    ("topics", ["smuggling", "arms"], "$.topics", "sorted"),
    ("topics", ["arms", "arms"], "$.topics", "sorted"),
    ("topics", [], "$.topics", "too_short"),
    ("topics", ["weapons"], "$.topics[0]", "enum"),
    ("marking.tlp", "white", "$.marking.tlp", "enum"),
    ("marking.pap", "amber+strict", "$.marking.pap", "enum"),
    ("marking.caveats", ["orcon", "h1"], "$.marking.caveats", "sorted"),
    ("marking.caveats", ["release_to"], "$.marking", "release_to"),
    ("marking.release_to", ["dz"], "$.marking", "release_to"),
    ("marking.release_to", ["tn", "dz"], "$.marking.release_to", "sorted"),
    ("marking.caveats", ["h3"], "$.marking", "handling_note"),
    ("marking.handling_note", {"ar": "x"}, "$.marking", "handling_note"),
    ("evaluation.reliability", "G", "$.evaluation.reliability", "enum"),
    ("evaluation.credibility", 0, "$.evaluation.credibility", "enum"),
    ("evaluation.credibility", "2", "$.evaluation.credibility", "enum"),
    ("likelihood", "certain", "$.likelihood", "enum"),
    ("observed.until", "2026-11-02T23:59:59Z", "$.observed", "period"),
    ("observed.precision", ABSENT, "$.observed.precision", "missing"),
    ("valid_until", "2026-11-24T08:00:00Z", "$", "after_created"),
    ("review_by", "2026-11-24T07:59:59Z", "$", "after_created"),
    ("retain_until", "2025-11-24T08:00:00Z", "$", "after_created"),
    ("action.reply_by", "2026-11-24T08:00:00Z", "$", "after_created"),
    ("action.informed", ["dz/main"], "$.action", "twice"),
    ("event", {"id": UUID}, "$.event.owner", "missing"),
    ("places.0.country", "XX", "$.places[0].country", "country"),
    ("places.0.country", "ly", "$.places[0].country", "string_pattern_mismatch"),
    ("places.0.role", "hideout", "$.places[0].role", "enum"),
    ("places.0.uncertainty_metres", 1.5, "$.places[0].uncertainty_metres", "json_float"),
    ("places.0.uncertainty_metres", -1, "$.places[0].uncertainty_metres", "greater_than_equal"),
    ("entities.0.id", "guide", "$", "twice"),
    ("entities.0.type", "horse", "$.entities[0]", "union_tag_invalid"),
    ("entities.0.type", ABSENT, "$.entities[0]", "union_tag_not_found"),
    ("entities.1.born", "1990-02-30", "$.entities[1].born", "calendar"),
    ("entities.1.born", "1990-13", "$.entities[1].born", "calendar"),
    ("entities.1.nationalities", ["TN", "LY"], "$.entities[1].nationalities", "sorted"),
    ("entities.3.number", "0916500100", "$.entities[3].number", "string_pattern_mismatch"),
    ("entities.4.quantity.amount", 0, "$.entities[4].quantity.amount", "greater_than_equal"),
    ("links.0.target", "nobody", "$", "unknown_entity"),
    ("links.0.source", "network", "$.links[0]", "link_to_itself"),
    ("actors.0.entity", "nobody", "$", "unknown_entity"),
    ("actors.0.entity", "rifles", "$", "entity_type"),
    ("actors.0.roles", [], "$.actors[0].roles", "too_short"),
    ("routes.0.geometry.type", "Point", "$.routes[0].geometry", "union_tag_invalid"),
    ("routes.0.countries", ["LY", "ZZ"], "$.routes[0].countries[1]", "country"),
    ("indicators", [{"pattern": "nothing"}], "$.indicators[0].pattern", "stix_pattern"),
    ("indicators", [{"pattern": "[a:b = 'x]"}], "$.indicators[0].pattern", "stix_pattern"),
    ("indicators", [{"pattern": "[a:b = 'x'"}], "$.indicators[0].pattern", "stix_pattern"),
    ("indicators", [{"pattern": "x [a:b = 'x']"}], "$.indicators[0].pattern", "stix_pattern"),
    ("indicators", [{"pattern": "[a:b = 1] 'x"}], "$.indicators[0].pattern", "stix_pattern"),
    ("indicators", [{"pattern": "[nothing]"}], "$.indicators[0].pattern", "stix_pattern"),
    ("references", {"urls": ["ftp://x"]}, "$.references.urls[0]", "string_pattern_mismatch"),
    ("references", {"urls": ["https://x/<"]}, "$.references.urls[0]", "string_pattern_mismatch"),
    ("in_reply_to", {"desk": "ly/main"}, "$.in_reply_to.id", "missing"),
    ("attachments", [attachment(1), attachment(1)], "$", "twice"),
    ("attachments", [attachment(1, name="a/b")], "$.attachments[0].name", "file_name"),
    ("attachments", [attachment(1, name="a\\b")], "$.attachments[0].name", "file_name"),
    ("attachments", [attachment(1, name="..")], "$.attachments[0].name", "file_name"),
    ("attachments", [attachment(1, name="a\x00")], "$.attachments[0].name", "control_character"),
    (
        "attachments",
        [attachment(1, name="gpj\u202e.exe")],
        "$.attachments[0].name",
        "control_character",
    ),
    ("attachments", [attachment(1, size=-1)], "$.attachments[0].size", "greater_than_equal"),
    (
        "attachments",
        [attachment(1, media_type="text/plain; charset=x")],
        "$.attachments[0].media_type",
        "string_pattern_mismatch",
    ),
    ("attachments", [attachment(n) for n in range(21)], "$.attachments", "too_long"),
    ("places", [{"name": {"ar": "x"}}] * 65, "$.places", "too_long"),
    ("entities", [{"id": f"e{n}", "type": "group"} for n in range(501)], "$.entities", "too_long"),
    ("charges", [], "$.charges", "extra_forbidden"),
]


@pytest.mark.parametrize(("path", "value", "where", "code"), THREAT_REFUSALS)
def test_threat_bulletin_refuses(
    example: Example, path: str, value: object, where: str, code: str
) -> None:
    """A threat bulletin that breaks one rule is refused with that rule's path and code."""
    assert (where, code) in codes(changed(example("threat_bulletin"), path, value))


JUDICIAL_REFUSALS: list[tuple[str, object, str, str]] = [
    ("purpose", "analysis", "$.purpose", "literal_error"),
    ("personal_data", False, "$", "personal_data"),
    ("request", "summons", "$.request", "enum"),
    ("request_status", ABSENT, "$.request_status", "missing"),
    ("issuing_authority", ABSENT, "$.issuing_authority", "missing"),
    ("issuing_authority.issued", "2026-02-29", "$.issuing_authority.issued", "calendar"),
    (
        "issuing_authority.issued",
        "2026-02",
        "$.issuing_authority.issued",
        "string_pattern_mismatch",
    ),
    ("person", ABSENT, "$", "request_needs"),
    ("person", "nobody", "$", "unknown_entity"),
    ("person", "telephone", "$", "entity_type"),
    ("charges", ABSENT, "$", "request_needs"),
    ("charges", [], "$", "request_needs"),
    ("request", "missing", "$", "request_excludes"),
    ("charges.0.law", ABSENT, "$.charges[0].law", "missing"),
    ("legal_basis", [{"articles": "16"}], "$.legal_basis[0].instrument", "missing"),
    ("actors", [], "$.actors", "extra_forbidden"),
]


@pytest.mark.parametrize(("path", "value", "where", "code"), JUDICIAL_REFUSALS)
def test_judicial_request_refuses(
    example: Example, path: str, value: object, where: str, code: str
) -> None:
    """A judicial request that breaks one rule is refused with that rule's path and code."""
    assert (where, code) in codes(changed(example("judicial_request"), path, value))


@pytest.mark.parametrize("request_type", ["extradition", "mutual_legal_assistance"])
def test_states_act_on_a_legal_basis(example: Example, request_type: str) -> None:
    """Extradition and legal assistance name the instrument that they rest on."""
    bulletin = example("judicial_request") | {"request": request_type}
    parse_bulletin(dump_json(bulletin))
    assert ("$", "request_needs") in codes(changed(bulletin, "legal_basis", []))


def test_a_missing_person_needs_no_charge(example: Example) -> None:
    """A missing person is looked for without charges, but not without the person."""
    bulletin = example("judicial_request") | {"request": "missing"}
    del bulletin["charges"]
    parse_bulletin(dump_json(bulletin))
    del bulletin["person"]
    assert codes(dump_json(bulletin)) == {("$", "request_needs")}


def test_a_request_without_names_is_personal_data_too(example: Example) -> None:
    """A judicial request says personal_data: true even where it names nobody."""
    bulletin = example("judicial_request") | {
        "request": "mutual_legal_assistance",
        "entities": [],
        "links": [],
    }
    del bulletin["person"]
    parse_bulletin(dump_json(bulletin))
    assert codes(changed(bulletin, "personal_data", False)) == {("$", "personal_data")}


POLYGON = [[[10, 30], [11, 30], [11, 31], [10, 30]]]


@pytest.mark.parametrize(
    ("type_", "coordinates"),
    [
        ("Point", [-180, 90]),
        ("Point", [180.0, -90.0]),
        ("MultiPoint", [[10.5, 30.25]]),
        ("LineString", [[10, 30], [11, 31]]),
        ("MultiLineString", [[[10, 30], [11, 31]]]),
        ("Polygon", POLYGON),
        ("MultiPolygon", [POLYGON, POLYGON]),
    ],
)
def test_takes_geometries(example: Example, type_: str, coordinates: object) -> None:
    """Each GeoJSON geometry is taken, up to the ends of the scales."""
    geometry = {"type": type_, "coordinates": coordinates}
    parse_bulletin(changed(example("threat_bulletin"), "places.0.geometry", geometry))


@pytest.mark.parametrize(
    ("type_", "coordinates", "where", "code"),
    [
        ("Point", [180.1, 0], ".coordinates[0]", "less_than_equal"),
        ("Point", [30, 91], ".coordinates[1]", "less_than_equal"),
        ("Point", [-181, 0], ".coordinates[0]", "greater_than_equal"),
        ("Point", [1], ".coordinates[1]", "missing"),
        ("Point", [1, 2, 3], ".coordinates", "too_long"),
        ("Point", ["1", 2], ".coordinates[0]", "float_type"),
        ("Point", [True, 2], ".coordinates[0]", "float_type"),
        ("LineString", [[10, 30]], ".coordinates", "too_short"),
        ("LineString", [10, 30], ".coordinates[0]", "tuple_type"),
        ("Polygon", [POLYGON[0][:3]], ".coordinates[0]", "too_short"),
        ("Polygon", [[*POLYGON[0][:3], [10, 30.001]]], ".coordinates[0]", "ring"),
        ("Polygon", [], ".coordinates", "too_short"),
        ("GeometryCollection", [], "", "union_tag_invalid"),
    ],
)
def test_refuses_geometries(
    example: Example, type_: str, coordinates: object, where: str, code: str
) -> None:
    """Positions off the globe, open rings and short lines are refused where they stand."""
    geometry = {"type": type_, "coordinates": coordinates}
    data = changed(example("threat_bulletin"), "places.0.geometry", geometry)
    assert ("$.places[0].geometry" + where, code) in codes(data)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (
            "text.ar",
            "3 < 5, a<5, <https://example.org/x?y=1> و<duty@border.example> \\* **x** `a`\r\n\tx",
        ),
        ("title.zgh-Tfng", "ⴰⵣⵓⵍ"),
        ("title.ar-LY", "عنوان"),
        ("title.ar", "نص \u200fمع علامات\u200e و\u2068عزل\u2069"),
        ("entities.1.born", "1984"),
        ("entities.1.born", "2000-02-29"),
        ("attachments", [attachment(n) for n in range(20)]),
        ("indicators", [{"pattern": "([a:b = 'it\\'s ]'] AND [c:d IN (1, 2)]) WITHIN 5 SECONDS"}]),
        ("indicators", [{"pattern": "[file:hashes.'SHA-256' = 'aec0' OR file:x[*].y > 7]"}]),
    ],
)
def test_takes(example: Example, path: str, value: object) -> None:
    """What looks like a broken rule and is none is taken."""
    parse_bulletin(changed(example("threat_bulletin"), path, value))


def test_exercise_and_caveats_with_their_members(example: Example) -> None:
    """An exercise with its name, and caveats with their list and note, are taken."""
    bulletin = example("threat_bulletin") | {"status": "exercise", "exercise": "الدرع 7"}
    bulletin["marking"] |= {
        "caveats": ["h3", "release_to"],
        "release_to": ["dz", "ne"],
        "handling_note": {"ar": "لا يُعرض خارج الغرفة."},
    }
    marking = parse_bulletin(dump_json(bulletin)).marking
    assert marking.for_header().release_to == ("dz", "ne")
    assert set(type(marking.for_header()).model_fields) == {
        "tlp",
        "classification",
        "caveats",
        "release_to",
    }


def test_the_whole_has_a_limit(example: Example) -> None:
    """A bulletin of 256 KiB is read, one byte more is refused before it is parsed."""
    bulletin = example("threat_bulletin")
    for language in ("fr", "en"):
        bulletin["text"][language] = "x" * TEXT_CHARACTERS_MAX
    data = dump_json(bulletin)
    padded = data + b" " * (BULLETIN_BYTES_MAX - len(data))
    parse_bulletin(padded)
    with pytest.raises(ParseError, match="over the limit"):
        parse_bulletin(padded + b" ")


def test_likelihood_runs_without_gaps() -> None:
    """The seven steps of ICD 203 meet from 1 to 99 percent."""
    steps = [likelihood.percent for likelihood in Likelihood]
    assert [step[0] for step in steps[1:]] == [step[1] for step in steps[:-1]]
    assert (steps[0][0], steps[-1][1]) == (1, 99)


def test_models_are_frozen(example: Example) -> None:
    """A parsed bulletin cannot be changed."""
    bulletin = parse_bulletin(dump_json(example("threat_bulletin")))
    with pytest.raises(ValueError, match="frozen"):
        bulletin.id = UUID  # type: ignore[misc]  # read-only is the point
