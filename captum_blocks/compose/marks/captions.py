"""What a panel says of its numbers: made from them, never more than they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypedDict

from torch import Tensor

from captum_blocks.compose.evaluation.facts import NONE_STAND_OUT, Facts
from captum_blocks.grammar import ATOMS, Hidden, Substrate
from captum_blocks.grammar.atoms import plural
from captum_blocks.numerals import number, quoted

if TYPE_CHECKING:
    from captum_blocks.compose.evaluation.frames import Frames
    from captum_blocks.compose.evaluation.values import Value


# Behind the names of what would be listed with another filling, too.
DOT = "•"
# How a reader changes what stays until it is changed again.
CHOSEN = ("choose", "slider")


class Under(TypedDict):
    """What stands under a panel's numbers."""

    left_out: str
    told: tuple[str, ...]


def under(
    frames: Frames,
    coverage: float,
    icons: bool,
    facts: Facts | None = None,
    besides: Sequence[Sequence[str]] = (),
) -> Under:
    """What a panel does not show and what is said of its numbers: always, and in each state.

    Sentences that hold in one state alone are told where the reader chose the state in a list or
    with a slider; below numbers that follow a pointer no text changes.

    Args:
        frames: what the panel shows.
        coverage: share of the pictures it wanted that will be there.
        icons: whether it wanted some.
        facts: what is known; without them nothing is said of totals.
        besides: for each state, sentences more.
    """
    chosen = all(each.selection.gesture in CHOSEN for each in frames.followed)
    more = besides or [()] * len(frames.values)
    states = [
        dict.fromkeys(
            [*_left_out(value, chosen, facts), *_ends(value, facts), *value.sentences, *others]
        )
        for value, others in zip(frames.values, more, strict=True)
    ]
    always = _found_first([part for part in states[0] if all(part in state for state in states)])
    own = ([part for part in state if part not in always] for state in states)
    told = tuple("; ".join(_found_first(parts)) for parts in own)
    dots = any(DOT in part for part in (*always, *(told if chosen else ())))
    always += _in_general(frames, dots)
    if icons and round(coverage, 2) < 1:
        always.append(
            f"icons were drawn for those that carry {coverage:.0%} of what this shows; "
            "a higher quality draws more"
        )
    return {"left_out": "; ".join(always), "told": told if chosen and any(told) else ()}


def _found_first(parts: list[str]) -> list[str]:
    """What is found stands before what it was found from."""
    found = [each for each in parts if each.startswith(NONE_STAND_OUT)]
    others = [each for each in parts if each not in found]
    return [*others[:1], *found, *others[1:]]


def _in_general(frames: Frames, dots: bool) -> list[str]:
    """Places that cannot be pointed at, and what a dot is unless a sentence explains it."""
    parts = [
        f"showing {len(each.states):,} of {each.n_atoms:,} places to point at"
        for each in frames.followed
        if len(each.states) < each.n_atoms
    ]
    if _dotted(frames) and not dots:
        parts.append(f"{DOT}: also chosen with the mean over the positions in the place of zero")
    return parts


def _dotted(frames: Frames) -> bool:
    """Whether some names end in the dot of what another filling would list, too."""
    names = (name for value in frames.values for held in value.labels.values() for name in held)
    return any(name.endswith(f" {DOT}") for name in names)


def _left_out(value: Value, numbers: bool, facts: Facts | None) -> list[str]:
    parts = []
    for axis, size in value.counts.items():
        if axis not in value.coords:  # aggregated: nothing of it is shown one by one
            continue
        shown = f"showing {len(value.coords[axis])} of {size} {plural(axis.removeprefix('to_'))}"
        parts.append(shown + (_share(value) if numbers else ""))
    residual = value.remainder.get("residual")
    if residual is not None and value.target is not None and numbers:
        held, whole = (", ".join(_numbers(part)) for part in (residual, value.total))
        parts.append(f"left over by the groups: {held} of {whole}")
        parts += _unexplained(value, facts)
    tokens = value.remainder.get("tokens")
    if tokens is not None:
        held = f" hold {', '.join(_numbers(tokens))}" if numbers else " are a row of their own"
        parts.append(f"class and register tokens, which have no position,{held}")
    return parts


def _unexplained(value: Value, facts: Facts | None) -> list[str]:
    """How much of the activation is in no group."""
    if facts is None or value.source.grouping is None or len(value.data) != 1:
        return []
    share = facts.unexplained(value.source)[value.coords["image"][0]]
    return [f"{share:.0%} of the activation’s norm is in no group"]


def _ends(value: Value, facts: Facts | None) -> list[str]:
    """Beside a total of atoms: what cancels in it, and what the whole layer really carries."""
    added = value.additive and value.target_axes == ("class",) and len(value.data) == 1
    if facts is None or not added or "elsewhere" in value.remainder or not value.source_axes:
        return []
    assert value.target is not None
    named = value.labels.get("class")
    labels = [f"“{facts.label(value.target, index)}”" for index in value.coords["class"]]
    labels = labels if named is None else [f"“{name}”" for name in named]
    parts = [_cancelling(value, labels)] if value.sides else []
    if value.ends:
        parts.append(_without_it(value, labels, facts))
    return parts


def _without_it(value: Value, labels: list[str], facts: Facts) -> str:
    """The scores with the whole layer at zero, and as they are."""
    filled, scores = (value.ends[name][0].tolist() for name in ("filled", "score"))
    pairs = zip(scores, value.coords["class"], strict=True)
    own = [number(score) + _probability(facts, value, index, " ({})") for score, index in pairs]
    if "class" in value.labels:  # a difference of two is no class, and has no probability
        own = list(map(number, scores))
    several = len(labels) > 1
    many = "logits" if several and value.unit == "logit" else value.unit
    are = f"{many} of {_and(labels)} {'are' if several else 'is'} {_and(list(map(number, filled)))}"
    constant = _constant(value, facts)
    return f"with the whole layer at zero the {are} {constant} instead of {_and(own)}"


def _and(words: list[str]) -> str:
    return " and ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} and {words[-1]}"


def _constant(value: Value, facts: Facts) -> str:
    """What a score is made of without the layer."""
    layer = value.source.layer
    around = layer in facts.around
    return "(biases, and what goes around it)" if around else "(biases of what follows)"


def _cancelling(value: Value, labels: list[str]) -> str:
    """The sums for and against, which may be far larger than what is left of them."""
    ups, downs = (value.sides[name][0] for name in ("for", "against"))
    sums = (
        " ".join(number(side) for side in pair if side) or "0"
        for pair in zip(ups.tolist(), downs.tolist(), strict=True)
    )
    told = f"to {_and(labels)} all {plural(value.source.atom)} together {_and(list(sums))}"
    sizes, axis = ups - downs, value.source_axes[0]
    if axis not in value.counts or not bool((sizes > 0).all()):
        return told
    shares = value.data[0].abs().flatten(1).sum(1) / sizes
    return f"{told}: those shown hold {_and([f'{share:.0%}' for share in shares.tolist()])} of that"


def _numbers(held: Tensor) -> list[str]:
    """The numbers of the first photograph, one for each target."""
    return [number(part) for part in held[0].reshape(-1).tolist()]


def _share(value: Value) -> str:
    """The share of the whole attribution that is shown, by magnitude of the sums."""
    if value.target is None or {"not shown", "elsewhere"} & set(value.remainder) != {"not shown"}:
        return ""
    if value.target_axes not in ((), ("class",)):
        return ""
    shown = value.data.flatten(1 + len(value.target_axes)).sum(-1)
    pairs = zip(_numbers(shown), _numbers(value.total), strict=True)
    shares = [f"{part} of {whole}" for part, whole in pairs]
    return ", " + " and ".join(shares) + f" {value.unit}"


def remainder_label(value: Value, name: str) -> str:
    """What a remainder is called on the page."""
    if name == "not shown":
        axis = value.source_axes[0]
        others = value.counts[axis] - len(value.coords[axis])
        return f"{others} other {plural(axis)}"
    return {
        "residual": "not explained by the groups",
        "tokens": "class and register tokens",
        "positions": "all positions",
        "elsewhere": "other positions",
        "outside": "outside of the region",
        "total": "the whole layer",
    }.get(name, name)


def effects(label: str, numbers: tuple[float, ...], names: tuple[str, ...], unit: str) -> str:
    """One line on an atom: "bn2 / group 2: +1.80 to “golden retriever”, ..."."""
    each = [
        f"{number(value)} {unit}" + (f" to {quoted(name)}" if name else "")
        for value, name in zip(numbers, names, strict=True)
    ]
    return f"{label}: {', '.join(each)}"


def detail(
    facts: Facts,
    value: Value,
    atom: tuple[int, str],
    numbers: tuple[float, ...],
    names: tuple[str, ...],
) -> str:
    """One line told when an atom, of an index and a name, is pointed at."""
    index, label = atom
    if value.source.atom == "class" and value.target is None:
        said = f"{label}: {facts.unit} {numbers[0]:.2f}"
        return said + _probability(facts, value, index, ", probability {}")
    if not value.source_axes and value.target is not None:
        return f"{number(numbers[0])} {value.unit} to {quoted(label)}"
    if value.target is not None:
        return effects(label, numbers, names, value.unit) + _also(value, index)
    return f"{label}: {value.unit} {numbers[0]:.3g}{_also(value, index, '{:.3g}'.format)}"


def _also(value: Value, index: int, told_as: Callable[[float], str] = number) -> str:
    """Other numbers of one atom: "; taken away alone +2.80, +1.10"."""
    if not value.also or len(value.data) != 1:
        return ""
    axes = value.source_axes
    place = (..., value.coords[axes[0]].index(index)) if axes else (...,)
    told = [
        f"{name} {', '.join(map(told_as, held[place][0].reshape(-1).tolist()))}"
        for name, held in value.also.items()
        if not bool(held[place].isnan().any())
    ]
    fewer = ["no like group in other fits"] if len(told) < len(value.also) else []
    return "; " + "; ".join([*told, *fewer])


def mark_label(facts: Facts, value: Value, atom: int, label: str) -> str:
    """An atom's name beside its bar; a class with its probability."""
    if value.source.atom != "class":
        return label
    return label + _probability(facts, value, atom, " ({})")


def _probability(facts: Facts, value: Value, atom: int, words: str) -> str:
    """A class's probability in some words; nothing of an output that has none."""
    if "image" in value.labels or not facts.scores:
        return ""
    return words.format(facts.scores[value.coords["image"][0]][atom])


def named(source: Substrate) -> str:
    """Atoms and their layer as a title: "Channels of bn2"."""
    if isinstance(source.layer, Hidden):
        return f"{ATOMS[source.atom].title} of {source.layer.layer}"
    return "Classes" if source.atom == "class" else "The picture"


def place(facts: Facts, value: Value) -> str:
    """Where a panel's atoms are: "bn2, 1280 channels on a 7 × 7 grid"."""
    shown = value.source
    if (
        not value.source_axes
        and value.target is not None
        and isinstance(value.target.layer, Hidden)
    ):
        shown = value.target  # one atom is named, and its targets are what is shown
    if not isinstance(shown.layer, Hidden):
        return ""
    layer = shown.layer.layer
    channels, height, width = facts.maps[layer].shape[1:]
    return f"{layer}, {channels} channels on a {height} × {width} grid"
