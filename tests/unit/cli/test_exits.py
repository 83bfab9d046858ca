"""Exit codes: one for each kind of ending."""

from __future__ import annotations

import pytest

from broker.cli.exits import DemoFailure, Exit, NodeUnreachable, exit_of, exits_table
from schemas.errors import (
    BaridError,
    ConfigurationError,
    HubUnreachable,
    ParseError,
    Problem,
    VerificationError,
)

CODES: list[tuple[BaridError, Exit]] = [
    (Problem("access-denied"), Exit.REFUSED),
    (ParseError("not JSON"), Exit.REFUSED),
    (HubUnreachable("no answer"), Exit.UNREACHABLE),
    (NodeUnreachable("no answer"), Exit.UNREACHABLE),
    (ConfigurationError("no file"), Exit.CONFIGURATION),
    (VerificationError("altered"), Exit.VERIFICATION),
    (DemoFailure("expected more"), Exit.DEMO_FAILED),
    (BaridError("of another room"), Exit.CONFIGURATION),
]


@pytest.mark.parametrize(
    ("error", "code"), CODES, ids=[f"{type(error).__name__}-{code.value}" for error, code in CODES]
)
def test_each_error_has_its_code(error: BaridError, code: Exit) -> None:
    """A script tells a refusal from a missing line and from a wrong file."""
    assert exit_of(error) is code


def test_codes_stay_as_they_are() -> None:
    """Scripts rely on the numbers."""
    assert {code.name: code.value for code in Exit} == {
        "OK": 0,
        "REFUSED": 1,
        "USAGE": 2,
        "FINDINGS": 3,
        "UNREACHABLE": 4,
        "CONFIGURATION": 5,
        "VERIFICATION": 6,
        "DEMO_FAILED": 7,
        "INTERRUPTED": 130,
    }


def test_table_explains_every_code() -> None:
    """Each code stands in the table that help shows, with a meaning."""
    lines = exits_table().splitlines()
    assert [line.split(maxsplit=1)[0] for line in lines] == [str(code.value) for code in Exit]
    assert all(len(line.split(maxsplit=1)[1]) > 3 for line in lines)
