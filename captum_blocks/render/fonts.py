"""Which fonts of the system have the letters of a text."""

from __future__ import annotations

from functools import cache

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

USUAL = "sans-serif"
# Has a box with a number for every letter there is: that is no letter.
_NO_LETTERS = "Last Resort"
_MOST = 3


def families(text: str) -> tuple[str, ...]:
    """The usual font, and after it those that have what it lacks, where the system has any.

    >>> families("tiger cat")
    ('sans-serif',)
    """
    usual = _letters(findfont(FontProperties(family=[USUAL])))
    missing = frozenset(letter for letter in text if ord(letter) not in usual and letter.strip())
    return (USUAL, *_having(missing)) if missing else (USUAL,)


@cache
def _having(missing: frozenset[str]) -> tuple[str, ...]:
    found: list[str] = []
    for entry in sorted(fontManager.ttflist, key=lambda entry: (entry.name, entry.fname)):
        if not missing or len(found) == _MOST:
            break
        if entry.name.startswith(_NO_LETTERS) or entry.style != "normal":
            continue
        left = frozenset(letter for letter in missing if ord(letter) not in _letters(entry.fname))
        if left != missing:
            found.append(entry.name)
            missing = left
    return tuple(found)


@cache
def _letters(file: str) -> frozenset[int]:
    try:
        return frozenset(get_font(file).get_charmap())
    except (OSError, RuntimeError):  # a font that was removed, or that FreeType cannot read
        return frozenset()
