"""Which selections a panel follows, sets and marks, with the states they have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from captum_blocks.compose.assembly.first_state import Selections, prefixed
from captum_blocks.compose.evaluation.facts import Facts, place_name
from captum_blocks.compose.evaluation.frames import (
    Followed,
    Frames,
    selected_axes,
    states_of,
    thinned,
)
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.compose.marks.view import Links, View
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import (
    Element,
    FeatureVis,
    Filter,
    Hidden,
    Out,
    Selection,
    Substrate,
    Without,
    as_substrate,
    parts_of,
)
from captum_blocks.scene import Selection as SceneSelection

# What a list or slider decides, as printed beside it.
TITLES = {
    "groups": "number of groups",
    "top": "how many of the largest",
    "bottom": "how many of the smallest",
    "strongest": "how many of the strongest",
    "image": "photograph",
    "class": "answer",
    "number": "number",
    "alignment": "groups",
}


def links(view: View, selections: Selections) -> Links:
    """The selections of an element, made known to the page."""
    element, frames = view.element, view.frames
    found = _Linking(view.facts, selections)
    opened = frames.places(frames.default)
    follows = tuple(map(found.followed, frames.followed, opened))
    words = [each.selection for each in frames.followed]
    here = dict(zip(words, follows, strict=True))
    ranked = isinstance(element.content, Filter) and element.content.ranks
    values = _opened_first(frames) if ranked else frames.values

    def pointed(word: Selection) -> str:
        # A place that the panel follows is that place.
        if word.atom == "spatial" and word in here:
            return here[word]
        return found.pointed(word, values, ranked)

    sets = tuple(map(pointed, element.changes))
    marked = None if element.highlights is None else pointed(element.highlights)
    answers = frames if view.rivals is None else view.rivals.answers
    switched = "" if answers is None else found.switched(_switches_in(element), answers.values)
    if view.rivals is not None and switched:
        sets = tuple(dict.fromkeys((*sets, switched)))
    return Links(follows, sets, marked, switched)


def _switches_in(element: Element) -> list[Selection]:
    """The selections of groups that are switched off in an element's answers."""
    if isinstance(element, FeatureVis) and element.is_versus:
        return [element.switches]
    parts = (part.off for part in parts_of(element.content) if isinstance(part, Without))
    return [off for off in parts if isinstance(off, Selection)]


class _Linking:
    def __init__(self, facts: Facts, selections: Selections) -> None:
        self.facts, self.selections = facts, selections

    def followed(self, followed: Followed, place: int) -> str:
        """The name of a selection that a panel follows, opening in the state of a place."""
        word, owner = followed.selection, followed.owner
        if word.atom == "spatial":
            assert followed.value is not None
            return self.selections.follow(
                self._spatial(word, followed.value, followed.of_target, place)
            )
        name = self.selections.name(word, "" if owner is None else place_name(owner))
        keys, labels = self._states(followed)
        title = word.name or TITLES.get(followed.purpose) or TITLES.get(word.atom, word.atom)
        return self.selections.follow(
            SceneSelection(name, word.gesture, word.atom, keys, place, labels=labels, title=title)
        )

    def pointed(self, word: Selection, values: Iterable[Value], ranked: bool) -> str:
        """The name of a selection that a panel sets or highlights, over its values' atoms.

        Where no panel follows it, it opens on the atom with the largest number, or on the first
        of a list by rank.
        """
        values = list(values)
        if word.gesture == "toggle":
            return self._switches(word, values)
        if word.atom in ("image", "number", "alignment"):
            raise InvalidArgument(f"{word!r} is changed by its own control, not by a panel")
        if word.atom == "spatial":
            return self.selections.point(self._spatial(word, values[0], False, None))
        owner = _owner(word, values[0])
        name = self.selections.name(word, place_name(owner))
        keys = {
            self.facts.key(_owner(word, value), int(index)): None  # type: ignore[arg-type]
            for value in values
            for index in states_of(word, value, _of_target(word, value))
        }
        known = tuple(dict.fromkeys((*self.selections.keys(name), *keys)))
        if not keys:
            raise InvalidArgument(
                f"{word!r} has nothing to select: the filter of {owner!r} leaves no atom"
            )
        axes = selected_axes(word, _of_target(word, values[0]))
        first = 0 if ranked else _strongest(values[0], axes)
        opened = known.index(list(keys)[first])
        return self.selections.point(SceneSelection(name, word.gesture, word.atom, known, opened))

    def switched(self, words: Sequence[Selection], values: Iterable[Value]) -> str:
        """The name of the selection whose atoms are missing in some answers, or nothing."""
        tables = [value.switches for value in values if value.switches is not None]
        if not words or not tables:
            return ""
        keys = (self.facts.key(each.of, group) for each in tables for group in each.groups)
        return self._toggle(words[0], place_name(tables[0].of), tuple(keys))

    def _switches(self, word: Selection, values: Iterable[Value]) -> str:
        """The name of a selection of atoms that are switched off in the rows of a panel."""
        owners = [(_owner(word, value), value) for value in values]
        keys = [
            self.facts.key(owner, int(index))  # type: ignore[arg-type]
            for owner, value in owners
            for index in states_of(word, value, _of_target(word, value))
        ]
        return self._toggle(word, place_name(owners[0][0]), tuple(keys))

    def _toggle(self, word: Selection, place: str, keys: tuple[str, ...]) -> str:
        name = self.selections.name(word, place)
        known = tuple(dict.fromkeys((*self.selections.keys(name), *keys)))
        return self.selections.point(SceneSelection(name, word.gesture, word.atom, known))

    def _states(self, followed: Followed) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Keys and labels of a selection's states."""
        states, owner = followed.states, followed.owner
        if followed.selection.atom == "number":
            return tuple(map(str, states)), ()
        if followed.selection.atom == "image":
            names = tuple(self.facts.photographs[int(i)] for i in states)  # type: ignore[arg-type]
            return tuple(f"image/{i}" for i in states), names
        if followed.selection.atom == "alignment":
            upper = followed.selection.options
            assert isinstance(upper, Substrate)
            return ("alone", "aligned"), ("made alone", f"aligned with {place_name(upper)}")
        assert owner is not None
        indices = [int(state) for state in states]  # type: ignore[arg-type]
        pointed = followed.selection.gesture in ("hover", "click")
        # What is pointed at is named where no list of its layer says whose atom it is.
        where = f" at {place_name(owner)}" if pointed and isinstance(owner.layer, Hidden) else ""
        labels = tuple(f"{self.facts.label(owner, index)}{where}" for index in indices)
        return tuple(self.facts.key(owner, index) for index in indices), labels

    def _spatial(
        self, word: Selection, value: Value, of_target: bool, place: int | None
    ) -> SceneSelection:
        """Spatial selections of one grid are one."""
        of_target = of_target or "y" not in value.axes
        axes = selected_axes(word, of_target)
        if any(value.coords[axis] != tuple(range(len(value.coords[axis]))) for axis in axes):
            raise InvalidArgument(f"{word!r} needs the whole grid of {value.source!r}")
        rows, columns = map(len, thinned(*(len(value.coords[axis]) for axis in axes)))
        name = f"{prefixed(word)}{word.gesture}-spatial-{rows}x{columns}"
        opened = _strongest(value, axes) if place is None else place
        keys = tuple(f"{y},{x}" for y in range(rows) for x in range(columns))
        return SceneSelection(
            name, word.gesture, "spatial", keys, opened, (rows, columns), self.facts.extent
        )


def _opened_first(frames: Frames) -> tuple[Value, ...]:
    """The values of all frames, that of the frame which opens before the others."""
    opened, values = frames.default, frames.values
    return (values[opened], *values[:opened], *values[opened + 1 :])


def _strongest(value: Value, axes: tuple[str, ...]) -> int:
    """The state with the largest magnitude over everything else, counted in rows."""
    places = [value.axis(axis) for axis in axes]
    others = [place for place in range(value.data.ndim) if place not in places]
    size = value.data.abs().amax(others) if others else value.data.abs()
    if len(axes) == 2:
        rows, columns = thinned(*size.shape)
        size = size[rows.start :: rows.step, columns.start :: columns.step]
    return int(size.flatten().argmax())


def _of_target(word: Selection, value: Value) -> bool:
    """Whether a selection picks a value's target atoms: where its source has none of the kind."""
    return value.source.atom != word.atom and "class" not in value.source_axes


def _owner(word: Selection, value: Value) -> Substrate:
    """The substrate whose atoms a selection picks."""
    if word.atom == "class":
        return as_substrate(Out())
    owner = value.target if _of_target(word, value) else value.source
    if owner is None:
        raise InvalidArgument(
            f"{word!r} cannot be set or marked by a panel of {value.source!r}: it shows no "
            f"{word.atom} atoms"
        )
    return owner
