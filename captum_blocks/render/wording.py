"""How numbers read, the same in every renderer."""

from __future__ import annotations


def number(value: float | None, signed: bool = False) -> str:
    """A value in as many digits as a reader compares.

    Args:
        value: None where there is no value.
        signed: whether a positive value carries its sign.

    >>> number(1.806, signed=True), number(-0.3), number(None)
    ('+1.81', '−0.30', '–')
    """
    if value is None:
        return "–"
    sign = "−" if value < 0 else "+" if signed and value > 0 else ""
    return sign + _size(abs(value))


def _size(size: float) -> str:
    if size >= 1e5 or 0 < size < 1e-4:
        digits, power = f"{size:.1e}".split("e")
        return f"{digits}e{int(power):+d}"
    if 0 < size < 0.01:
        return f"{size:.1g}"
    return f"{size:.{0 if size >= 100 else 1 if size >= 10 else 2}f}"
