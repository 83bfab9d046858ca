"""The table of rules: complete in three languages, and nothing is raised that it does not have."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import schemas
from schemas.errors import FieldError
from schemas.rules import OURS, RULES, broken, explain, placeholders

ROOT = Path(schemas.__file__).parent


def _raised_codes() -> set[str]:
    """Find the first argument of every `broken(…)`, and the code of every `_refused(…)`."""
    codes = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                position = {"broken": 0, "_refused": 2}.get(node.func.id)
                if position is not None:
                    code = node.args[position]
                    assert isinstance(code, ast.Constant), f"{path.name}:{node.lineno}"
                    codes.add(str(code.value))
    return codes


def test_every_code_raised_is_in_the_table() -> None:
    """A validator raises only codes that have words, and each word of ours is raised somewhere."""
    assert _raised_codes() == set(OURS)


@pytest.mark.parametrize("code", sorted(RULES))
def test_three_languages(code: str) -> None:
    """Each rule has words in three languages, in the right script, with the same placeholders."""
    rule = RULES[code]
    assert placeholders(rule.fr) == placeholders(rule.en)
    assert placeholders(rule.ar) == placeholders(rule.en)
    assert len({rule.en, rule.fr, rule.ar}) == 3
    assert re.search("[\u0621-\u064a]", rule.ar)
    assert not re.search("[\u0621-\u064a]", rule.en + rule.fr)


def test_explains_in_the_readers_language() -> None:
    """Path and value stay, the rule is said in Arabic, French or English."""
    error = FieldError("$.a", "x", "3", "less_than_equal", {"le": "2"})
    said = {language: explain([error], language)[0] for language in ("ar", "fr", "en")}
    assert said["ar"].rule == "يجب ألا تتجاوز القيمة 2"
    assert said["fr"].rule == "doit être au plus égal à 2"
    assert said["en"].rule == "must be at most 2"
    assert {(one.path, one.value) for one in said.values()} == {("$.a", "3")}


def test_keeps_english_words_where_the_table_has_none() -> None:
    """An unknown code, or a context that lacks a name, keeps the words that came."""
    unknown = FieldError("$", "something else", "1", "no_such_code")
    lacking = FieldError("$", "too long", "1", "too_long", {})
    assert explain([unknown, lacking], "fr") == (unknown, lacking)


def test_an_error_fills_its_words() -> None:
    """What a validator raises says its context."""
    assert "U+202E" in str(broken("control_character", character="U+202E"))
    with pytest.raises(KeyError):
        broken("no_such_code")
