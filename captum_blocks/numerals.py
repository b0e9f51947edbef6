"""Numbers as text."""

from __future__ import annotations

from captum_blocks.grammar.atoms import plural

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def number(value: float) -> str:
    """A number with its sign and as many digits as a reader needs.

    >>> number(1.234), number(-0.0004), number(123.4)
    ('+1.23', '−0.0004', '+123')
    """
    size = abs(value)
    digits = f"{size:.0f}" if size >= 100 else f"{size:.2f}" if size >= 0.01 else f"{size:.1g}"
    return ("−" if value < 0 else "+") + digits if size else "0"


def percent(share: float) -> str:
    """A share of the picture in words.

    >>> percent(0.142), percent(0.0012), percent(0.0), percent(1e-5)
    ('14%', '0.1%', '0%', 'under 0.1%')
    """
    if 0 < share < 0.001:
        return "under 0.1%"
    return f"{share:.0%}" if share >= 0.01 or not share else f"{share:.1%}"


def quoted(label: str) -> str:
    """A class name in quotation marks.

    >>> quoted("tabby")
    '“tabby”'
    """
    return f"“{label}”"


def count(amount: int, noun: str) -> str:
    """So many of something.

    >>> count(4, "group"), count(1, "group"), count(2, "photograph")
    ('four groups', 'one group', 'two photographs')
    """
    if amount == 1:
        return f"{spelled(amount)} {noun}"
    several = plural(noun)
    return f"{spelled(amount)} {several if several != noun else noun + 's'}"


def spelled(amount: int) -> str:
    """A small number as a word.

    >>> spelled(4), spelled(12)
    ('four', '12')
    """
    return WORDS[amount] if amount < len(WORDS) else str(amount)
