"""How numbers read, the same in every renderer."""

from __future__ import annotations

from captum_blocks.scene import Panel, Scene, Selection, marks_of

# About as many characters as a line below a panel has.
BRIEF = 100


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


def choices(panel: Panel, scene: Scene) -> str:
    """What was chosen from a list or slid for this panel, where it is the first that follows it.

    On a page a control tells it, on paper this line.
    """
    before: set[str] = set()
    for other in scene.panels():
        if other is panel:
            break
        before.update(other.follows)
    shown = (scene.selection(name) for name in panel.follows if name not in before)
    kinds = (one for one in shown if one.gesture in ("choose", "slider"))
    return "; ".join(f"{one.title or one.name}: {state(one, scene)}" for one in kinds)


def subject(panel: Panel, scene: Scene) -> str:
    """The atoms pointed at or clicked elsewhere that this panel is about: "channel 9 at bn2"."""
    followed = (scene.selection(name) for name in panel.follows)
    pointed = (one for one in followed if one.gesture in ("hover", "click") and one.grid is None)
    return ", ".join(state(one, scene) for one in pointed)


def state(selection: Selection, scene: Scene) -> str:
    """The default state in words: its own label, else that of the atom it is."""
    if selection.labels:
        return selection.labels[selection.default]
    key = selection.keys[selection.default]
    marks = (mark for panel in scene.panels() for mark in marks_of(panel))
    return next((mark.label for mark in marks if mark.key == key), key)


def in_brief(words: str, most: int = BRIEF) -> tuple[str, tuple[str, ...]]:
    """What stands in a line, and the clauses that are read when it is opened.

    Args:
        words: clauses between semicolons.
        most: characters of a line; the first clause is always in it.

    >>> in_brief("showing 6 of 9 channels; all of them +2.00 −1.00; filled with zero", 30)
    ('showing 6 of 9 channels', ('all of them +2.00 −1.00', 'filled with zero'))
    >>> in_brief("showing 6 of 9 channels")
    ('showing 6 of 9 channels', ())
    """
    first, *rest = words.split("; ")
    while rest and len(first) + len(rest[0]) + 2 <= most:
        first = f"{first}; {rest.pop(0)}"
    return first, tuple(rest)


def _size(size: float) -> str:
    if size >= 1e5 or 0 < size < 1e-4:
        digits, power = f"{size:.1e}".split("e")
        return f"{digits}e{int(power):+d}"
    if 0 < size < 0.01:
        return f"{size:.1g}"
    return f"{size:.{0 if size >= 100 else 1 if size >= 10 else 2}f}"
