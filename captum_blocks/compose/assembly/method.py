"""How a chapter was computed, and where everything on the page comes from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from captum_blocks import __version__
from captum_blocks.grammar import (
    ATOMS,
    Ablation,
    Activation,
    Attribution,
    Difference,
    Edit,
    Filter,
    Given,
    Hidden,
    Interaction,
    Interface,
    Method,
    Percentile,
    Substrate,
    Without,
    parts_of,
)
from captum_blocks.scene import Pairs

# Labels and plain values have no others: there the output itself is the score.
AGAINST = " of the class against all others (of labels and plain values: the output itself)"
PAIRS = (
    "what two groups do to the logit together minus what each does alone: v(all) − v(all but i) − "
    "v(all but j) + v(all but both), zero in the place of what is taken away"
)
SWITCHES = (
    "the network's own answers without every set of groups: zero stands in their place, what is in "
    "no group stays, and all that is behind the layer runs again"
)
STANDS = (
    "the share of the photographs' numbers that are smaller, and half of the equal ones; its ends "
    "are the step from the share of the smaller ones to that of the smaller and equal ones, "
    "widened by their 95 % interval (Wilson), for which pictures cut from one photograph are one"
)
DISTILL = "The Building Blocks of Interpretability, Distill 2018"
PACKAGES = ("captum-blocks", "captum", "torch", "scikit-learn")


def method_notes(
    interface: Interface,
    atoms: Collection[str],
    notes: Iterable[str],
    given: Mapping[str, Any],
    held: Mapping[str, Iterable[str]] | None = None,
) -> Pairs:
    """How a chapter was computed: formulas, methods, layers, sources.

    Args:
        interface: the chapter.
        atoms: the kinds of atoms whose numbers it shows.
        notes: what was repaired, defaulted or approximated in them.
        given: the objects that ``Given`` words name.
        held: by term, how well its attributions hold and how far they are to be believed.
    """
    # Each text once, however many parts of the chapter say it.
    told: dict[tuple[str, str], dict[str, None]] = {}
    for part in parts_of(interface):
        for term, text, between in _said(part, given):
            told.setdefault((term, between), {})[text] = None
    pairs = {term: between.join(texts) for (term, between), texts in told.items()}
    if "group" in atoms:
        pairs["groups"] = (
            "factorization of the layer's channels over the photograph's positions: activation = "
            "scores × directions + residual"
        )
    for term, sentences in (held or {}).items():
        if found := dict.fromkeys(sentences):
            pairs[term] = "; ".join(found)
    if noted := dict.fromkeys(notes):
        pairs["notes"] = "; ".join(noted)
    pairs["source"] = DISTILL
    return tuple(pairs.items())


def around(interface: Interface, layers: Collection[str]) -> str:
    """Before any number of a layer that part of the answer goes around: that it does."""
    shown = {part.layer for part in parts_of(interface) if isinstance(part, Hidden)}
    named = sorted(shown & set(layers))
    if not named:
        return ""
    its = "its output" if len(named) == 1 else "the output of either"
    return (
        f"Part of the answer goes around {' and '.join(named)}: with {its} taken from another "
        "picture, the answer does not become that picture's."
    )


def _said(part: Any, given: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What a word says of the method: (term, text, what stands between two texts)."""
    if isinstance(part, Hidden):
        return [("layer", part.layer, ", ")]
    if isinstance(part, Attribution):
        return [("attribution", _attribution_formula(part, given), "; ")]
    if isinstance(part, Ablation):
        return [("removal", _removal_words(part), "; ")]
    if isinstance(part, Edit):
        return [("edit", _edit_words(part), "; "), ("region", _region(part), "; ")]
    if isinstance(part, Interaction):
        return [("interaction", PAIRS, "; ")]
    if isinstance(part, Without):
        return [("switches", SWITCHES, "; ")]
    if isinstance(part, Activation):
        return [("activation", ATOMS[part.source.atom].activation, ", ")]
    if isinstance(part, Percentile):
        return [("percentile", STANDS, "; ")]
    if isinstance(part, Difference):
        return [("difference", "one content minus the other, atom by atom", ", ")]
    if isinstance(part, Filter) and (part.top or part.bottom or part.strongest):
        return [("shown", _filter_words(part), "; ")]
    return []


def _attribution_formula(part: Attribution, given: Mapping[str, Any]) -> str:
    target, summed = _target(part.target), ATOMS[part.source.atom].summed
    if isinstance(part.method, Given):
        return f"{method_name(part.method, given)} to {target}, {summed}"
    if part.method.otherwise is not None:
        each = (replace(part, method=method) for method in part.method.choices)
        first, second = (_attribution_formula(one, given) for one in each)
        return f"{first}; where that cannot be, {second}"
    if part.by_subsets:
        return f"exact Shapley values to {target}, from every subset of the groups"
    return f"Captum's {method_name(part.method, given)} to {target}, {summed}"


def _removal_words(part: Ablation) -> str:
    atom, score = ATOMS[part.source.atom].name, part.score
    against = AGAINST if score == "log-odds" else ""
    return (
        f"the score minus the score without that {atom} alone, {filled(part)}; score: "
        f"{score}{against}; single removals do not add up"
    )


def _edit_words(part: Edit) -> str:
    against = AGAINST if part.score == "log-odds" else ""
    how = " (Gaussian, σ 10% of the picture's shorter side)" if part.fill == "blur" else ""
    return (
        f"the score minus the score with one region alone {_edited(part)}{how} and the whole "
        f"network run again; score: {part.score}{against}; single edits do not add up, a layer "
        "looks at more of the picture than lies under a place, and an edited picture may hold "
        "evidence that the photograph does not"
    )


def _edited(part: Edit) -> str:
    """What stands in the place of a region."""
    if isinstance(part.fill, Given):
        return f"replaced by what is given as {part.fill.name!r}"
    return "blurred"


def _region(part: Edit) -> str:
    """Which part of the picture is edited."""
    if part.mask is not None:
        return f"the mask given as {part.mask.name!r}"
    return {
        "group": (
            "the part of the picture under the places that hold half of what the group fires (the "
            "fewest that do, its map scaled to the picture as the network takes it; soft edge, σ "
            "2% of the shorter side)"
        ),
        "spatial": (
            "the part of the picture under one cell of the layer's grid (soft edge, σ 2% of the "
            "shorter side, at most an eighth of a cell)"
        ),
    }.get(part.source.atom, "the whole picture")


def filled(part: Ablation) -> str:
    """What stands in the place of an atom that was taken away."""
    if isinstance(part.fill, Given):
        return f"the tensor given as {part.fill.name!r} in its place"
    return {
        "zero": "zero in its place",
        "mean": "its mean over the positions in its place",
        "resample": "that of other photographs in its place, averaged over them",
    }[part.fill]


def content_name(content: Any, given: Mapping[str, Any]) -> str:
    """Where a content's numbers come from, in short."""
    if isinstance(content, Attribution):
        return method_name(content.method, given)
    if isinstance(content, Ablation):
        return f"removal, {filled(content)}"
    if isinstance(content, Edit):
        return f"its region {_edited(content)}"
    inner = getattr(content, "content", None)
    return type(content).__name__.lower() if inner is None else content_name(inner, given)


def _target(target: Substrate) -> str:
    """The number that an attribution goes to."""
    if isinstance(target.layer, Hidden):
        return f"{ATOMS[target.atom].score} at {target.layer.layer}"
    if target.atom == "class":
        return ATOMS["class"].score
    return "the mean logit of each factor of the output, classes by their weight in it"


def method_name(method: Method | Given, given: Mapping[str, Any]) -> str:
    """A method with its options: "LayerConductance(n_steps=8)", "LayerDeepLift given as 'mine'"."""
    if isinstance(method, Given):
        held = given[method.name]
        kind = held.__name__ if isinstance(held, type) else type(held).__name__
        return f"{kind} given as {method.name!r}"
    if method.otherwise is not None:
        return " or ".join(method_name(each, given) for each in method.choices)
    options = ", ".join(f"{key}={value!r}" for key, value in method.options)
    return method.name + (f"({options})" if options else "")


def _filter_words(part: Filter) -> str:
    chosen = {"top": part.top, "bottom": part.bottom, "strongest": part.strongest}
    words = ", ".join(f"{name} {amount}" for name, amount in chosen.items() if amount)
    judge = part.by
    if isinstance(judge, Edit):
        return f"{words} by their region {_edited(judge)}"
    removed = [each for each in parts_of(judge) if isinstance(each, Ablation)] if judge else []
    return f"{words} by removal, {filled(removed[0])}" if removed else words


def layers_and_methods(interface: Interface, given: Mapping[str, Any]) -> Pairs:
    """Which layers a page is about, and by which methods."""
    words = list(parts_of(interface))
    layers = {part.layer for part in words if isinstance(part, Hidden)}
    methods = {method_name(each.method, given) for each in words if isinstance(each, Attribution)}
    return (
        ("layers", ", ".join(sorted(layers))),
        ("attribution", ", ".join(sorted(methods))),
    )


def versions() -> str:
    """Of the packages that the numbers come from.

    >>> versions().startswith("captum-blocks ")
    True
    """
    return ", ".join(f"{name} {_version(name)}" for name in PACKAGES)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # run from a checkout that is not installed
        return __version__ if distribution == "captum-blocks" else "?"
