"""The documentation is held against the code: what it names exists, and what it must list is listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schemas.errors import PROBLEMS

ROOT = Path(__file__).parents[2]
DOCS = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
PATHS = re.compile(r"`((?:broker|keys|schemas|tests|docs)/[\w./-]+)`")
LINKS = re.compile(r"\]\(([\w./-]+)(?:#[\w-]+)?\)")
TESTS = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
def test_what_a_document_names_exists(document: Path) -> None:
    """Every path of this project and every link in a document leads somewhere."""
    text = _text(document)
    missing = [name for name in PATHS.findall(text) if not any(ROOT.glob(name.rstrip("/")))]
    missing += [
        link
        for link in LINKS.findall(text)
        if "://" not in link and not (document.parent / link).exists()
    ]
    assert missing == []


def test_every_problem_type_is_documented() -> None:
    """The protocol's table has each problem with its status, fault and finality, and no other."""
    text = _text(ROOT / "docs" / "protocol.md")
    rows = re.findall(r"^\| `([\w-]+)` \| (\d{3}) \| (\w+) \| (\w+) \|", text, re.MULTILINE)
    documented = {word: (int(status), fault, final) for word, status, fault, final in rows}
    expected = {p.word: (p.status, str(p.fault), str(p.finality)) for p in PROBLEMS.values()}
    assert documented == expected


def test_every_test_of_the_threat_model_exists() -> None:
    """A control is named with the test that shows it; the test is there."""
    named = TESTS.findall(_text(ROOT / "docs" / "threat-model.md"))
    assert named
    missing = [
        f"{file}::{test}" for file, test in named if f"def {test}(" not in _text(ROOT / file)
    ]
    assert missing == []


def test_every_decision_is_listed() -> None:
    """The index of decisions names every file beside it."""
    folder = ROOT / "docs" / "decisions"
    listed = set(LINKS.findall(_text(folder / "README.md")))
    assert {path.name for path in folder.glob("[0-9]*.md")} == listed
