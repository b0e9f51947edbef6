"""Sentences made from the numbers: never written by hand, never more than the numbers say."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from torch import Tensor

from captum_blocks import __version__
from captum_blocks.attr import relaxation_note
from captum_blocks.compose.context import Context
from captum_blocks.compose.icons import Quality
from captum_blocks.compose.values import Value
from captum_blocks.compose.wanted import Wanted
from captum_blocks.grammar import (
    Activation,
    Attribution,
    Difference,
    Filter,
    Given,
    Hidden,
    Interface,
    Method,
    Substrate,
    parts_of,
)
from captum_blocks.scene import Pairs

PLURALS = {
    "channel": "channels",
    "group": "groups",
    "neuron": "neurons",
    "spatial": "positions",
    "class": "classes",
    "token": "tokens",
}
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DISTILL = "The Building Blocks of Interpretability, Distill 2018"


def number(value: float) -> str:
    """A number with its sign and as many digits as a reader needs.

    >>> number(1.234), number(-0.0004), number(123.4)
    ('+1.23', '−0.0004', '+123')
    """
    size = abs(value)
    digits = f"{size:.0f}" if size >= 100 else f"{size:.2f}" if size >= 0.01 else f"{size:.1g}"
    return ("−" if value < 0 else "+") + digits if size else "0"


def quoted(label: str) -> str:
    """A class name in quotation marks.

    >>> quoted("tabby")
    '“tabby”'
    """
    return f"“{label}”"


def count(amount: int, noun: str) -> str:
    """
    >>> count(4, "group"), count(1, "group")
    ('four groups', 'one group')
    """
    return f"{spelled(amount)} {noun if amount == 1 else PLURALS.get(noun, noun + 's')}"


def spelled(amount: int) -> str:
    """A small number as a word.

    >>> spelled(4), spelled(12)
    ('four', '12')
    """
    return WORDS[amount] if amount < len(WORDS) else str(amount)


def left_out(values: Sequence[Value], coverage: float, icons: bool) -> str:
    """What a panel does not show; numbers only where they hold in every state of it."""
    said = [_left_out(value, numbers=len(values) == 1) for value in values]
    parts = [part for part in said[0] if all(part in other for other in said)]
    if icons and round(coverage, 2) < 1:
        parts.append(
            f"icons were drawn for those that carry {coverage:.0%} of what this shows; "
            "a higher quality draws more"
        )
    return "; ".join(parts)


def _left_out(value: Value, numbers: bool) -> list[str]:
    parts = []
    for axis, size in value.counts.items():
        if axis not in value.coords:  # aggregated: nothing of it is shown one by one
            continue
        kind = axis.removeprefix("to_")
        shown = f"showing {len(value.coords[axis])} of {size} {PLURALS.get(kind, kind)}"
        parts.append(shown + (_share(value) if numbers else ""))
    residual = value.remainder.get("residual")
    if residual is not None and value.target is not None and numbers:
        held, whole = (", ".join(_numbers(part)) for part in (residual, value.total))
        parts.append(f"left over by the groups: {held} of {whole}")
    tokens = value.remainder.get("tokens")
    if tokens is not None:
        held = f" hold {', '.join(_numbers(tokens))}" if numbers else " are a row of their own"
        parts.append(f"class and register tokens, which have no position,{held}")
    return parts


def _numbers(held: Tensor) -> list[str]:
    """The numbers of the first photograph, one for each target."""
    return [number(part) for part in held[0].reshape(-1).tolist()]


def _share(value: Value) -> str:
    """The share of the whole attribution that is shown, by magnitude of the sums."""
    if value.target is None or {"not shown", "elsewhere"} & set(value.remainder) != {"not shown"}:
        return ""
    if value.target_axes not in ((), ("class",)):
        return ""
    shown = value.total - value.remainder["not shown"]
    pairs = zip(_numbers(shown), _numbers(value.total), strict=True)
    shares = [f"{part} of {whole}" for part, whole in pairs]
    return ", " + " and ".join(shares) + f" {value.unit}"


def remainder_label(value: Value, name: str) -> str:
    """What a remainder is called on the page."""
    if name == "not shown":
        axis = value.source_axes[0]
        others = value.counts[axis] - len(value.coords[axis])
        return f"{others} other {PLURALS.get(axis, axis)}"
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
    context: Context,
    value: Value,
    atom: tuple[int, str],
    numbers: tuple[float, ...],
    names: tuple[str, ...],
) -> str:
    """One line told when an atom, of an index and a name, is pointed at."""
    index, label = atom
    if value.source.atom == "class" and value.target is None:
        said = f"{label}: {context.unit} {numbers[0]:.2f}"
        return said + _probability(context, value, index, ", probability {}")
    if not value.source_axes and value.target is not None:
        return f"{number(numbers[0])} {value.unit} to {quoted(label)}"
    if value.target is not None:
        return effects(label, numbers, names, value.unit)
    return f"{label}: {value.unit} {numbers[0]:.3g}"


def mark_label(context: Context, value: Value, atom: int, label: str) -> str:
    """An atom's name beside its bar; a class with its probability."""
    if value.source.atom != "class":
        return label
    return label + _probability(context, value, atom, " ({})")


def _probability(context: Context, value: Value, atom: int, words: str) -> str:
    """A class's probability in some words; nothing of an output that has none."""
    if "image" in value.labels or context.unit == "output":
        return ""
    return words.format(context.net.told(context.logits[value.coords["image"][0]], atom))


def named(source: Substrate) -> str:
    """Atoms and their layer as a title: "Channels of bn2"."""
    if isinstance(source.layer, Hidden):
        atoms = {"whole": "The whole layer", "spatial": "Places"}.get(
            source.atom, PLURALS.get(source.atom, source.atom).capitalize()
        )
        return f"{atoms} of {source.layer.layer}"
    return "Classes" if source.atom == "class" else "The picture"


def place(context: Context, value: Value) -> str:
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
    channels, height, width = context.maps(layer).shape[1:]
    return f"{layer}, {channels} channels on a {height} × {width} grid"


def title(context: Context, values: Iterable[Value] = ()) -> str:
    """The question the page answers, with names in it."""
    if len(context.x) > 1:
        return f"What {context.net.name} saw in {count(len(context.x), 'photograph')}"
    top = int(context.logits[0].argmax())
    (picture,) = context.names
    seen = f"What {context.net.name} saw in {picture}" if picture else context.net.name
    asked = next((held.coords["class"] for held in values if held.target_axes == ("class",)), ())
    if asked and top not in asked:
        return f"What speaks for {quoted(context.net.label(asked[0]))}? {seen}"
    return f"Why {quoted(context.net.label(top))}? {seen}"


def answer(context: Context, values: Iterable[Value]) -> str:
    """One sentence made from the first attribution to groups, or from the prediction alone."""
    if len(context.x) > 1:
        return "; ".join(map(_sure, [context] * len(context.x), range(len(context.x)))) + "."
    for value in values:
        to_classes = "class" in value.coords and "residual" in value.remainder
        if value.source.atom == "group" and to_classes:
            return _group_answer(context, value)
    return f"{context.net.name} is {_best(context, 0)}."


def _sure(context: Context, image: int) -> str:
    return f"{context.names[image]}: {_best(context, image)}"


def _best(context: Context, image: int) -> str:
    best = context.net.ranked(context.logits[image], 1)[0]
    if context.unit == "output":
        return f"at {best.probability:.3g} for {quoted(best.label)}"
    return f"{best.probability:.0%} sure of {quoted(best.label)}"


def _group_answer(context: Context, value: Value) -> str:
    label = context.net.label(value.coords["class"][0])
    effect, total = value.data[0, 0], float(value.total[0, 0])
    strongest = effect[effect > 0.1 * abs(total)]
    residual = float(value.remainder["residual"][0, 0])
    most = ""
    if 0 < len(strongest) < len(effect):
        most = f" (the strongest {spelled(len(strongest))} {number(float(strongest.sum()))})"
    tokens = value.remainder.get("tokens")
    held = ""
    if tokens is not None:
        held = f", {number(float(tokens[0, 0]))} sits in tokens without a position"
    groups = count(len(effect), "group").capitalize()
    return (
        f"{groups} of channels at {value.source.layer.layer} "  # type: ignore[union-attr]
        f"{'adds' if len(effect) == 1 else 'add'} {number(float(effect.sum()))} to the score of "
        f"{quoted(label)}{most}; {number(residual)} is in no group{held}: {number(total)} in all."
    )


def method_notes(interface: Interface, values: Iterable[Value], given: Mapping[str, Any]) -> Pairs:
    """How a chapter was computed: formulas, methods, layers, sources."""
    pairs: dict[str, str] = {}
    for part in parts_of(interface):
        if isinstance(part, Hidden):
            pairs["layer"] = _joined(pairs.get("layer"), part.layer)
        elif isinstance(part, Attribution):
            pairs["attribution"] = _joined(
                pairs.get("attribution"), _attribution_formula(part, given), "; "
            )
        elif isinstance(part, Activation):
            pairs["activation"] = _joined(pairs.get("activation"), ACTIVATIONS[part.source.atom])
        elif isinstance(part, Difference):
            pairs["difference"] = "one content minus the other, atom by atom"
        elif isinstance(part, Filter) and (part.top or part.bottom or part.strongest):
            pairs["shown"] = _joined(pairs.get("shown"), _filter_words(part), "; ")
    if "group" in {value.source.atom for value in values}:
        pairs["groups"] = (
            "factorization of the layer's channels over the photograph's positions: activation = "
            "scores × directions + residual"
        )
    notes = dict.fromkeys(note for value in values for note in value.notes)
    if notes:
        pairs["notes"] = "; ".join(notes)
    pairs["source"] = DISTILL
    return tuple(pairs.items())


ACTIVATIONS = {
    "neuron": "each channel's activation at one position",
    "spatial": "length (L2 norm) of the activation vector at each position",
    "channel": "mean over positions",
    "group": "score × length of the group's direction, mean over positions",
    "whole": "length (L2 norm) of the whole layer's activation",
    "token": "length (L2 norm) of each token",
    "class": "the class's logit",
}


def _joined(old: str | None, new: str, between: str = ", ") -> str:
    return new if not old else old if new in old.split(between) else f"{old}{between}{new}"


# Over what an atom's attribution is summed, and which number of a target it goes to.
SUMMED = {
    "group": "summed over each group's part of the activation",
    "channel": "summed over positions",
    "spatial": "summed over channels",
    "whole": "summed over the layer",
    "token": "summed over channels",
    "neuron": "neuron by neuron",
}
TARGETS = {
    "class": "the logit before softmax",
    "group": "the projection on each group's direction",
    "spatial": "the length of each position's activation vector",
    "channel": "each channel's sum over positions",
    "neuron": "each neuron",
    "whole": "the length of the activation",
    "token": "the length of each token",
}


def _attribution_formula(part: Attribution, given: Mapping[str, Any]) -> str:
    whose = "" if isinstance(part.method, Given) else "Captum's "
    summed = SUMMED[part.source.atom]
    return f"{whose}{method_name(part.method, given)} to {_target(part.target)}, {summed}"


def _target(target: Substrate) -> str:
    """The number that an attribution goes to."""
    if isinstance(target.layer, Hidden):
        return f"{TARGETS[target.atom]} at {target.layer.layer}"
    return TARGETS["class"] if target.atom == "class" else "the logits of factors of the output"


def method_name(method: Method | Given, given: Mapping[str, Any]) -> str:
    """A method with its options: "LayerConductance(n_steps=8)", "LayerDeepLift given as 'mine'"."""
    if isinstance(method, Given):
        held = given[method.name]
        kind = held.__name__ if isinstance(held, type) else type(held).__name__
        return f"{kind} given as {method.name!r}"
    options = ", ".join(f"{key}={value!r}" for key, value in method.options)
    return method.name + (f"({options})" if options else "")


def _filter_words(part: Filter) -> str:
    chosen = {"top": part.top, "bottom": part.bottom, "strongest": part.strongest}
    return ", ".join(f"{name} {amount}" for name, amount in chosen.items() if amount)


def footer(
    context: Context,
    interface: Interface,
    quality: Quality,
    drawn: Collection[str],
    wanted: Wanted,
) -> Pairs:
    """Where everything on the page comes from."""
    layers = {part.layer for part in parts_of(interface) if isinstance(part, Hidden)}
    methods = {
        method_name(part.method, context.given)
        for part in parts_of(interface)
        if isinstance(part, Attribution)
    }
    cells = sum(len(mosaic.keys) for mosaic in wanted.mosaics.values())
    pairs = {
        "network": context.net.name,
        "weights": context.net.source,
        "scores": context.net.reading,
        "layers": ", ".join(sorted(layers)),
        "attribution": ", ".join(sorted(methods)),
        "icons": (
            f"{len(drawn)} of {len(wanted.requests)} wanted, optimized from noise at "
            f"{quality.size} pixels in {quality.n_steps} steps, seed {quality.seed}"
            if wanted.requests
            else ""
        ),
        "pictures of positions": (
            f"{cells}, drawn together at {quality.cell} pixels in {quality.cell_steps} steps, seed "
            f"{quality.seed}"
            if cells
            else ""
        ),
        "versions": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "approximations": relaxation_note(context.net.module)
        or "none: gradients are the network's own",
    }
    return tuple((term, text) for term, text in pairs.items() if text)


PACKAGES = ("captum-blocks", "captum", "torch", "scikit-learn")


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # run from a checkout that is not installed
        return __version__ if distribution == "captum-blocks" else "?"
