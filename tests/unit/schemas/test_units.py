"""Kilograms: derived exactly, and only where a unit has a mass."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.bulletin import IncidentReport, Kind, parse_bulletin
from schemas.bulletin.entities import Quantity
from schemas.bulletin.units import KILOGRAMS, kilograms
from schemas.limits import INTEGER_MAX
from schemas.samples import sample


@pytest.mark.parametrize(
    ("amount", "unit", "expected"),
    [
        (61400, "GRM", "61.4"),
        (3, "TNE", "3000"),
        (7, "KGM", "7"),
        (2, "DTN", "200"),
        (1, "KTN", "1000000"),
        (5, "HGM", "0.5"),
        (5, "DJ", "0.05"),
        (1, "CGM", "0.00001"),
        (250, "MGM", "0.00025"),
        (5, "CTM", "0.001"),
        (100, "LBR", "45.359237"),
        (16, "ONZ", "0.45359237"),
        (12, "APZ", "0.3732417216"),
    ],
)
def test_units_of_mass(amount: int, unit: str, expected: str) -> None:
    """Each unit of the table weighs what its definition says, without rounding."""
    assert kilograms(amount, unit) == Decimal(expected)


@pytest.mark.parametrize("unit", ["LTR", "C62", "MTR", "kgm", "", "XXX"])
def test_other_units_have_no_mass(unit: str) -> None:
    """Litres, pieces and unknown codes are not guessed at."""
    assert kilograms(10, unit) is None


@settings(max_examples=50, deadline=None)
@given(st.integers(1, INTEGER_MAX), st.integers(1, 1000), st.sampled_from(sorted(KILOGRAMS)))
def test_exact_for_every_amount(amount: int, parts: int, unit: str) -> None:
    """Parts of a seizure weigh together what the whole weighs, up to the greatest number."""
    first, rest = amount // (parts + 1), amount - amount // (parts + 1)
    whole = kilograms(amount, unit)
    assert whole == (kilograms(first, unit) or 0) + (kilograms(rest, unit) or 0)


def test_a_seizure_derives_its_kilograms() -> None:
    """What a report seized is read in kilograms; the document holds amount and unit alone."""
    data = sample(Kind.INCIDENT_REPORT, "ar")
    report = parse_bulletin(data)
    assert isinstance(report, IncidentReport)
    masses = [one.quantity and one.quantity.kilograms for one in report.seizures]
    assert masses == [None, None, Decimal("84.5"), None, None]
    assert b"kilograms" not in data
    assert set(Quantity.model_fields) == {"amount", "unit"}
