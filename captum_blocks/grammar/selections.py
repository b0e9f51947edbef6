"""States that the reader of a page changes: they stand where a filter or groups take a constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.grammar.atoms import selectable
from captum_blocks.grammar.spec import word

if TYPE_CHECKING:
    from captum_blocks.grammar.substrates import Out, Substrate

Gesture = Literal["hover", "click", "choose", "slider", "toggle"]
MOST_NUMBERS = 64


@word
@dataclass(frozen=True)
class Selection:
    """A state that the reader of a page changes; it stands where a filter takes a constant.

    Two equal selections are the same selection: panels that use it move together.

    Attributes:
        gesture: how it is changed.
        atom: what is selected: "spatial", "channel", "group", "class", "image", "number" or
            "alignment".
        name: tells two selections of one kind apart; printed beside lists and sliders.
        options: what there is to select from: classes, numbers, or groups to align others with.
            None: whatever atoms the panels that set it show, or, where none does, all atoms of the
            content that follows it.
        start: place of the state that is shown first, and in print. None: the most telling one.

    >>> hover("spatial") == Selection("hover", "spatial")
    True
    """

    gesture: Gesture
    atom: str
    name: str | None = None
    options: Out | Substrate | tuple[int, ...] | None = None
    start: int | None = None

    def __post_init__(self) -> None:
        if self.gesture not in get_args(Gesture):
            raise InvalidArgument(
                f"gesture {self.gesture!r} is none of {', '.join(get_args(Gesture))}"
            )
        if self.gesture in ("hover", "click") and self.atom not in selectable():
            raise InvalidArgument(
                f"a selection is one of {', '.join(selectable())}, not {self.atom!r}"
            )
        if self.gesture == "toggle" and self.atom != "group":
            raise InvalidArgument(
                f"groups are switched off, in every combination; {self.atom!r} atoms are too many"
            )
        if self.start is not None and self.start < 0:
            raise InvalidArgument(f"start={self.start}: places are counted from 0")
        if self.gesture == "slider":
            self._check_numbers()
        elif self.gesture == "choose":
            self._check_list()
        elif self.options is not None:
            raise InvalidArgument(f"{self.gesture} picks from what is shown; it has no options")

    def _check_numbers(self) -> None:
        numbers = self.options
        if self.atom != "number" or not isinstance(numbers, tuple) or not numbers:
            raise InvalidArgument("a slider slides over numbers: slider(2, 12)")
        if any(type(number) is not int for number in numbers):
            raise WrongType(f"a slider counts in whole numbers, not {numbers!r}")
        if len(numbers) > MOST_NUMBERS:
            raise InvalidArgument(
                f"slider({numbers[0]}, {numbers[-1]}) has {len(numbers)} states, each computed "
                f"beforehand; {MOST_NUMBERS} at most: take a larger step"
            )
        step = _step(numbers)
        regular = range(numbers[0], numbers[-1] + 1, step) if step > 0 else ()
        if numbers[0] < 1 or numbers != tuple(regular):
            raise InvalidArgument(f"a slider goes upwards from 1, in equal steps, not {numbers}")
        if self.start is None or self.start >= len(numbers):
            raise InvalidArgument(f"start={self.start}: there are {len(numbers)} options")

    def _check_list(self) -> None:
        kinds = {"image": None, "class": "classes", "alignment": "grouping"}
        if self.atom not in kinds:
            raise InvalidArgument(f"one chooses {', '.join(kinds)}, not {self.atom!r}")
        held = kinds[self.atom]
        if (held is None) != (self.options is None) or (held and not hasattr(self.options, held)):
            raise InvalidArgument(f"a list of {self.atom} has no options {self.options!r}")

    def __repr__(self) -> str:
        """The call that makes it."""
        words = [f"name={self.name!r}"] if self.name else []
        if isinstance(self.options, tuple):
            low, high, step = self.options[0], self.options[-1], _step(self.options)
            shown = [str(low), str(high)]
            shown += [] if self.start is None else [f"value={self.options[self.start]}"]
            shown += [] if step == 1 else [f"step={step}"]
        else:
            shown = [repr(self.atom if self.options is None else self.options)]
            shown += [] if self.start is None else [f"start={self.start}"]
        return f"{self.gesture}({', '.join([*shown, *words])})"


def _step(numbers: tuple[int, ...]) -> int:
    return numbers[1] - numbers[0] if len(numbers) > 1 else 1


def hover(atom: str, name: str | None = None) -> Selection:
    """What the reader points at: a place of the photograph, a group, a channel or a class.

    Args:
        atom: "spatial", "channel", "group" or "class".
        name: tells two selections of one atom apart.

    >>> hover("spatial")
    hover('spatial')
    """
    return Selection("hover", atom, name)


def click(atom: str, name: str | None = None) -> Selection:
    """What the reader clicked last; a second click goes back to the state it started in.

    Args:
        atom: "spatial", "channel", "group" or "class".
        name: tells two selections of one atom apart.

    >>> click("channel", "mixed4d")
    click('channel', name='mixed4d')
    """
    return Selection("click", atom, name)


def toggle(atom: str = "group", name: str | None = None) -> Selection:
    """The atoms that the reader has switched off, none at first; each has a switch.

    It stands in ``content.without(toggle("group"), of=groups)``, and in ``sets=`` of an element
    that lists the groups, whose rows get the switches.

    Args:
        atom: "group".
        name: tells two selections apart.

    >>> toggle("group")
    toggle('group')
    """
    return Selection("toggle", atom, name)


def choose(
    options: Out | Substrate | str, name: str | None = None, start: int | None = None
) -> Selection:
    """What the reader takes from a list: a class, a photograph, or whether groups are aligned.

    Args:
        options: classes, e.g. ``Out(207, 282)`` or ``Out(top=5)``; or "image"; or the groups of a
            later layer, which stand for ``groups(align_with=...)``: the reader has groups made on
            their own (the first in the list) or aligned with these.
        name: printed beside the list; tells two lists apart.
        start: place in the list of what is shown first.

    >>> from captum_blocks.grammar import Out
    >>> choose(Out(207, "tiger cat"), "answer")
    choose(Out(207, 'tiger cat'), name='answer')
    """
    if options == "image":
        return Selection("choose", "image", name, None, start)
    if getattr(options, "grouping", None) is not None:
        return Selection("choose", "alignment", name, options, start or 0)  # type: ignore[arg-type]
    if isinstance(options, str) or not hasattr(options, "classes"):
        classes = written_as_classes(options) or "Out(207, 282)"
        raise WrongType(
            f"choose takes classes, as in {classes}, 'image', or groups to align with, "
            f"not {options!r}"
        )
    if not options.classes and options.top is None:  # type: ignore[union-attr]
        raise InvalidArgument("choose: say which classes, as in Out(207, 282) or Out(top=5)")
    return Selection("choose", "class", name, options, start)


def slider(
    low: int, high: int, value: int | None = None, step: int = 1, name: str | None = None
) -> Selection:
    """A number the reader slides: how many groups, how many of the strongest atoms.

    Args:
        low, high: the smallest and the largest number.
        value: the number that is shown first; the middle unless given.
        step: between numbers.
        name: printed beside the slider; tells two sliders apart.

    >>> slider(2, 12, value=6).options
    (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
    """
    for given in (low, high, step, 0 if value is None else value):
        if isinstance(given, bool) or not isinstance(given, int):
            raise WrongType(f"a slider counts in whole numbers, not {given!r}")
    numbers = tuple(range(low, high + 1, step)) if step > 0 else ()
    if not numbers or low < 1:
        raise InvalidArgument(f"slider({low}, {high}, step={step}): no numbers from 1 upwards")
    if len(numbers) > MOST_NUMBERS:
        raise InvalidArgument(
            f"slider({low}, {high}) has {len(numbers)} states, each computed beforehand; "
            f"{MOST_NUMBERS} at most: take a larger step"
        )
    start = numbers[len(numbers) // 2] if value is None else value
    if start not in numbers:
        raise InvalidArgument(f"value={value}: the slider holds {numbers}")
    return Selection("slider", "number", name, numbers, numbers.index(start))


def written_as_classes(given: object) -> str:
    """How classes that are given by themselves are written; nothing for what names none.

    >>> written_as_classes(281), written_as_classes(["tabby", 285]), written_as_classes(None)
    ('Out(281)', "Out('tabby', 285)", '')
    """
    classes = list(given) if isinstance(given, (list, tuple, set, range)) else [given]
    named = all(isinstance(each, (int, str)) and not isinstance(each, bool) for each in classes)
    return f"Out({', '.join(map(repr, classes))})" if classes and named else ""
