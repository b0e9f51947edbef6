"""Selections in a content: their states, and the content in each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from itertools import product
from math import prod
from typing import Any

from captum_blocks.compose.evaluation.contents import value_of
from captum_blocks.compose.evaluation.frames import (
    Followed,
    Frames,
    Listed,
    State,
    selected_axes,
    states_of,
)
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.errors import InvalidArgument, UnsupportedMethod, UnusableLayer
from captum_blocks.grammar import (
    ATOMS,
    Activation,
    Attribution,
    Content,
    Filter,
    Grouping,
    Hidden,
    Out,
    Selection,
    Substrate,
    parts_of,
    rewritten,
)
from captum_blocks.grammar.atoms import numbered
from captum_blocks.grammar.interventions import Intervention

# The atoms that the panels which set a selection show, where there are such panels.
Reach = Callable[[Selection, Substrate], Listed | None]
IMAGE = Selection("choose", "image", "photograph")
MOST_STATES = 10_000


def everywhere(selection: Selection, substrate: Substrate) -> None:
    """A reach that knows of no panel that sets anything."""


def frames(content: Content, session: Session, reach: Reach = everywhere) -> Frames:
    """Evaluate a content once for every state of the selections in it, and every photograph.

    Raises:
        InvalidArgument: more states than a page can hold, or a selection of atoms that the content
            does not have.
    """
    content = _narrowed(content, reach)
    followed = list(_followed(content, session, reach))
    _check_size(content, followed)
    contents = [
        bind(
            content, dict(zip((each.selection for each in followed), chosen, strict=True)), session
        )
        for chosen in product(*(each.states for each in followed))
    ]
    values = [value_of(each, session) for each in contents]
    picked: dict[Content, Value] = {}
    for each in followed:
        picked |= _picked_from(each, followed, session)
    shown = Frames(tuple(values), tuple(followed))
    order = sorted(range(len(values)), key=lambda index: index != shown.default)
    numbers = picked or {contents[index]: values[index] for index in order}
    images = values[0].coords["image"]
    if len(images) == 1:
        return replace(shown, numbers=numbers)
    each_image = (value.select("image", [i]) for i in range(len(images)) for value in values)
    return Frames(tuple(each_image), (Followed(IMAGE, images), *followed), numbers)


def _picked_from(
    picking: Followed, followed: list[Followed], session: Session
) -> dict[Content, Value]:
    """The numbers that atoms are picked from, in each state of what they follow themselves."""
    if picking.content is None:
        return {}
    inner = [each for each in followed if each.selection in selections_in(picking.content)]
    found = {}
    for chosen in product(*map(_opening_first, inner)):
        states = dict(zip((each.selection for each in inner), chosen, strict=True))
        content = bind(picking.content, states, session)
        found[content] = value_of(content, session)
    return found


def _opening_first(followed: Followed) -> tuple[State, ...]:
    states, start = followed.states, followed.selection.start
    first = () if start is None else states[min(start, len(states) - 1) :][:1]
    return tuple(dict.fromkeys((*first, *states)))


def selections_in(content: Any) -> set[Selection]:
    """The selections that a content follows."""
    return {part for part in parts_of(content) if isinstance(part, Selection)}


def _narrowed(content: Any, reach: Reach) -> Any:
    """The content of those atoms alone that can be selected."""

    def narrow(part: Any) -> Any:
        if not isinstance(part, Filter) or not isinstance(part.content, (Activation, Attribution)):
            return part
        base: Any = part.content
        for name, where in (("source", part.at), ("target", part.to)):
            substrate = getattr(base, name, None)
            if isinstance(where, Selection) and substrate is not None:
                atoms = _reachable(where, substrate, reach)
                if atoms is not None:
                    base = replace(base, **{name: replace(substrate, only=atoms)})
        return replace(part, content=base)

    return rewritten(content, narrow)


def _reachable(where: Selection, substrate: Substrate, reach: Reach) -> tuple[int, ...] | None:
    countable = numbered(substrate.atom) and isinstance(substrate.layer, Hidden)
    if not countable or where.atom != substrate.atom or substrate.only is not None:
        return None
    shown = reach(where, substrate)
    return None if shown is None else shown.atoms


def _followed(content: Content, session: Session, reach: Reach) -> Iterator[Followed]:
    """The selections in a content, each once, with their states."""
    seen: set[Selection] = set()
    for selection, owner, purpose in _occurrences(content):
        if selection in seen or selection.gesture == "toggle":
            continue
        seen.add(selection)
        if selection.atom == "number":
            assert isinstance(selection.options, tuple)
            yield Followed(selection, _numbers(selection, content, session), purpose=purpose)
        elif selection.atom == "alignment":
            yield Followed(selection, (0, 1))
        elif selection.atom == "image":
            yield Followed(selection, tuple(range(len(session.names))))
        else:
            yield _picking(selection, owner, purpose == "to", session, reach)


def _numbers(selection: Selection, content: Content, session: Session) -> tuple[int, ...]:
    """A slider's numbers: of groups, those that the layers can be told apart into."""
    assert isinstance(selection.options, tuple)
    layers = [
        part.layer
        for part in parts_of(content)
        if isinstance(part, Substrate) and part.grouping and part.grouping.n == selection
        if isinstance(part.layer, Hidden)
    ]
    told_apart = (session.of(layer).most_groups(layer.layer) for layer in layers)
    most = min(told_apart, default=selection.options[-1])
    return tuple(n for n in selection.options if n <= most) or selection.options


def _occurrences(content: Content) -> Iterator[tuple[Selection, Any, str]]:
    """Each selection, the word it stands in, and what it decides there."""
    for part in parts_of(content):
        if isinstance(part, (Filter, Grouping)):
            for item in fields(part):
                held = getattr(part, item.name)
                if isinstance(held, Selection):
                    yield held, part, "groups" if item.name == "n" else item.name


def _picking(
    selection: Selection, filtered: Filter, of_target: bool, session: Session, reach: Reach
) -> Followed:
    base = filtered.content
    if inner := _deciding(base, of_target):
        raise InvalidArgument(
            f"{selection!r} cannot pick from {base!r}, whose atoms depend on {inner.pop()!r}; "
            "filter first by what picks atoms"
        )
    # Whatever else the content follows does not decide which atoms there are to pick from.
    others = _followed(base, session, everywhere)
    bound = bind(base, {each.selection: each.states[0] for each in others}, session)
    try:
        value = value_of(bound, session)
    except (UnusableLayer, UnsupportedMethod):
        if not isinstance(base, Intervention):
            raise
        # Nothing can be taken out of the layer; who ranks by it says so. Its atoms are the same.
        base = Attribution(base.source, base.target)
        value = value_of(base, session)
    states = states_of(selection, value, of_target)
    if isinstance(selection.options, Out):
        look = session.of(selection.options)
        classes = look.classes(selection.options)
        if missing := [index for index in classes if index not in states]:
            raise InvalidArgument(
                f"{selection!r}: {look.net.label(missing[0])!r} is not among the classes of "
                f"{base!r}"
            )
        states = classes
    found = Followed(selection, states, base, value, of_target)
    shown = reach(selection, found.owner) if found.owner is not None else None
    if shown is None or not _is_numbered(selection.atom):
        return found
    kept = tuple(state for state in states if state in shown.atoms)
    first = shown.first if shown.first in kept else None
    return replace(found, states=kept or states, first=first)


def _is_numbered(atom: str) -> bool:
    return atom in ATOMS and numbered(atom)


def _deciding(base: Any, of_target: bool) -> set[Selection]:
    """The selections that decide which atoms of a content there are to pick from."""
    if isinstance(base, (Attribution, Intervention)):
        return selections_in(base.target if of_target else base.source)
    return selections_in(base)


def bind(content: Any, states: dict[Selection, State], session: Session) -> Any:
    """The content with every selection replaced by a state."""

    def change(part: Any) -> Any:
        if isinstance(part, Filter):
            return replace(
                part,
                at=_place(part.at, part, False, states, session),
                to=_place(part.to, part, True, states, session),
            )
        if isinstance(part, Selection) and part.gesture == "toggle":
            return ()  # its states are rows of a table, which the value holds
        if isinstance(part, Selection) and part.atom in ("number", "image"):
            return states.get(part, part)
        if isinstance(part, Selection) and part.atom == "alignment" and part in states:
            return bind(part.options, states, session) if states[part] else None
        return part

    return rewritten(content, change)


def _place(
    where: Any, part: Filter, of_target: bool, states: dict[Selection, State], session: Session
) -> Any:
    """Where the atom that is selected stands on the axes of the content that is filtered."""
    if not isinstance(where, Selection) or where not in states:
        return where
    axes, state = selected_axes(where, of_target), states[where]
    coords = _coordinates(part.content, axes, session)
    indices = state if isinstance(state, tuple) else (state,)
    for axis, index in zip(axes, indices, strict=True):
        if index not in coords.get(axis, ()):
            raise InvalidArgument(
                f"{where!r} picks {axis} {index}, which {part.content!r} does not have"
            )
    places = tuple(coords[axis].index(index) for axis, index in zip(axes, indices, strict=True))
    return places if isinstance(state, tuple) else places[0]


def _coordinates(
    content: Content, axes: tuple[str, ...], session: Session
) -> Mapping[str, tuple[int, ...]]:
    """What stands at the places of some axes; classes are known before any number is."""
    target = getattr(content, "target", None)
    named = axes == ("class",) and isinstance(content, (Attribution, Intervention))
    plain = isinstance(target, Substrate) and target.only is None and target.grouping is None
    if named and plain and isinstance(target.layer, Out):  # type: ignore[union-attr]
        return {"class": session.of(target).classes(target.layer)}  # type: ignore[arg-type, union-attr]
    return value_of(content, session).coords


def _check_size(content: Content, followed: list[Followed]) -> None:
    sizes = [len(each.states) for each in followed]
    if prod(sizes) > MOST_STATES:
        each = " × ".join(
            f"{size} of {one.selection!r}" for size, one in zip(sizes, followed, strict=True)
        )
        raise InvalidArgument(
            f"{content!r} would have {prod(sizes)} states ({each}), each computed beforehand; "
            f"{MOST_STATES} at most: follow fewer selections, or select from fewer atoms"
        )
