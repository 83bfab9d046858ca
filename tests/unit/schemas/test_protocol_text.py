"""The protocol's tables of limits and rules are held against the code."""

from __future__ import annotations

import re
from pathlib import Path

from schemas import limits
from schemas.rules import RULES

TEXT = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text(encoding="utf-8")


def _appendix(letter: str) -> str:
    found = re.search(rf"^## Appendix {letter}: .*?(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    return found[0] if found else ""


def test_every_limit_is_documented() -> None:
    """The table has each limit with its value, and no other."""
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\w*) ?\|", _appendix("E"), re.MULTILINE)
    expected = {name: value for name, value in vars(limits).items() if name.isupper()}
    assert {name: int(value) for name, value, _ in rows} == expected


def test_units_of_limits_are_those_of_their_names() -> None:
    """What is called bytes or seconds in the code is so in the table."""
    rows = re.findall(r"^\| `(\w+)` \| \d+ \| (\w*) ?\|", _appendix("E"), re.MULTILINE)
    for name, unit in rows:
        for word in ("bytes", "seconds"):
            assert (word.upper() in name) == (unit == word), name


def test_every_rule_is_documented() -> None:
    """The appendix has each code of the table of rules."""
    named = set(re.findall(r"`(\w+)`", _appendix("F")))
    assert set(RULES) - named == set()


def test_no_rule_is_documented_that_is_not_there() -> None:
    """The rows of the appendix are rules of the table."""
    rows = re.findall(r"^\| `(\w+)` \|", _appendix("F"), re.MULTILINE)
    assert rows
    assert set(rows) - set(RULES) == set()
