"""Numbers as people write them, for the terminal, the verdict and the pages alike."""

from __future__ import annotations

import math

_LEAST, _MOST = 1e-6, 1e15
"""Sizes below and from which a number is written with a power of ten."""


def written(value: float | None, figures: int = 4) -> str:
    """Return a number rounded to so many significant figures, with commas between thousands.

    >>> written(3_334_211.4), written(0.123456), written(-12.0), written(1234.5, 3)
    ('3,334,000', '0.1235', '-12', '1,230')
    >>> written(0.0000123456), written(6.02e23), written(None), written(float("nan"))
    ('0.00001235', '6.02 × 10^23', '–', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    mantissa, power = f"{value:.{figures - 1}e}".split("e")
    exponent = int(power)
    if not _LEAST <= abs(value) < _MOST:
        return f"{_trimmed(mantissa)} × 10^{exponent}"
    rounded = round(value, figures - 1 - exponent)
    return _trimmed(f"{rounded:,.{max(0, figures - 1 - exponent)}f}")


def figures_of(low: float, high: float, figures: int = 4) -> int:
    """Return the significant figures in which numbers far from zero still differ.

    Args:
        low, high: the smallest and the largest of them.
        figures: that are enough where they are not far from zero.

    >>> figures_of(-1.0, 1.0), figures_of(999_999.0, 1_000_001.0), figures_of(5.0, 5.0)
    (4, 9, 4)
    """
    size, span = max(abs(low), abs(high)), high - low
    if not 0 < span < size or math.isinf(size):
        return figures
    return min(15, figures + int(math.log10(size / span)))


def interval(bounds: list[float] | tuple[float, float] | None, figures: int = 4) -> str:
    """Return an interval in brackets; a dash where it has no width, nothing where there is none.

    >>> interval([1234.5, 2345.6]), interval([0.5, 0.5]), interval(None)
    ('[1,234, 2,346]', '–', '')
    """
    if bounds is None:
        return ""
    low, high = bounds
    return "–" if low == high else f"[{written(low, figures)}, {written(high, figures)}]"


def _trimmed(digits: str) -> str:
    """Return digits without zeros at the end of their decimals."""
    return digits.rstrip("0").rstrip(".") if "." in digits else digits
