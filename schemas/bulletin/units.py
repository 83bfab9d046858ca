"""Units of mass, and what an amount in one of them weighs in kilograms.

May import the standard library only; quantities, statistics and exports use it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

KILOGRAMS: Final[dict[str, Decimal]] = {
    "KGM": Decimal(1),  # kilogram
    "HGM": Decimal("0.1"),  # hectogram
    "DJ": Decimal("0.01"),  # decagram
    "GRM": Decimal("0.001"),  # gram
    "CGM": Decimal("0.00001"),  # centigram
    "MGM": Decimal("0.000001"),  # milligram
    "TNE": Decimal(1000),  # tonne (metric ton)
    "KTN": Decimal(1_000_000),  # kilotonne
    "DTN": Decimal(100),  # decitonne, the metric quintal
    "CTM": Decimal("0.0002"),  # metric carat
    "LBR": Decimal("0.45359237"),  # pound
    "ONZ": Decimal("0.028349523125"),  # ounce
    "APZ": Decimal("0.0311034768"),  # troy ounce, in which gold is traded
}
"""Unit → kilograms of one (UNECE Recommendation 20, annex I, "mass"; pound and ounces in the exact values of
the international agreement of 1959). Litres, pieces and packages are not here: what they weigh depends on
the goods. Copies of the annex print the troy ounce ten times too light, as 3.110348 g."""


def kilograms(amount: int, unit: str) -> Decimal | None:
    """What an amount weighs.

    Args:
        amount: how many of the unit.
        unit: common code of UNECE Recommendation 20, as `GRM`.

    Returns:
        kilograms, exactly, never rounded; None where the unit is no unit of mass that the table has.
    """
    factor = KILOGRAMS.get(unit)
    return None if factor is None else amount * factor
