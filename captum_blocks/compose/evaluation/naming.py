"""Names that the reader gives to groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.grammar import Grouping, Selection, Substrate, parts_of
from captum_blocks.network import printable

LONGEST = 60
Names = Mapping[Substrate, tuple[str, ...]]


def names_of(given: Any, words: Iterable[Any]) -> Names:
    """Names by the groups that they are of.

    Args:
        given: a list of names by groups, e.g. ``{Hidden("layer4").groups(2): ["ears", "snout"]}``.
        words: what is shown; the groups must be among it, or be one of a slider's numbers.

    Raises:
        WrongType: it is no such mapping.
        InvalidArgument: groups that are not shown, another number of names than of groups, names
            that are empty, too long, or not each its own.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise WrongType(
            "names= takes a list of names by groups, e.g. "
            f'{{Hidden("layer4").groups(2): ["ears", "snout"]}}, not {given!r}'
        )
    shown = [part for word in words for part in parts_of(word) if isinstance(part, Substrate)]
    return {groups: _checked(groups, names, shown) for groups, names in given.items()}


def _checked(groups: Any, names: Any, shown: Sequence[Substrate]) -> tuple[str, ...]:
    if not isinstance(groups, Substrate) or groups.grouping is None:
        raise WrongType(f"names= are of groups, e.g. layer.groups(2), not of {groups!r}")
    if not any(_may_be(each, groups) for each in shown):
        raise InvalidArgument(f"names= are of {groups!r}, which is not shown")
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise WrongType(f"the names of {groups!r} are a list of texts, not {names!r}")
    if wrong := [name for name in names if not isinstance(name, str) or not name.strip()]:
        raise WrongType(f"a group's name is a text, not {wrong[0]!r}")
    count = groups.grouping.n
    if isinstance(count, int) and len(names) != count:
        raise InvalidArgument(f"{len(names)} names for {count} groups of {groups!r}")
    if long := [name for name in names if len(name) > LONGEST]:
        raise InvalidArgument(
            f"a group's name has at most {LONGEST} characters; {long[0][:LONGEST]!r}... has "
            f"{len(long[0])}"
        )
    if len(set(names)) < len(names):
        raise InvalidArgument(f"two groups of {groups!r} have one name")
    return tuple(printable(name) for name in names)


def _may_be(shown: Substrate, groups: Substrate) -> bool:
    """Whether groups are those that are shown, in one of the states of a slider."""
    mine, theirs = shown.grouping, groups.grouping
    if mine is None or theirs is None or shown.layer != groups.layer:
        return False
    return mine == theirs or (isinstance(mine.n, Selection) and _counts(mine.n, theirs))


def _counts(slider: Selection, grouping: Grouping) -> bool:
    options = slider.options
    return isinstance(options, tuple) and grouping.n in options
