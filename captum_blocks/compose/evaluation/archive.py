"""The numbers of a page as named arrays, and a table that says what each of them is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captum_blocks.compose.evaluation.facts import Answered, Changes, Exchanged, Groups, Weighed
from captum_blocks.compose.evaluation.positions import POSITIONS
from captum_blocks.compose.evaluation.tables import others
from captum_blocks.compose.evaluation.trusted import Trust
from captum_blocks.compose.evaluation.values import PROBABILITY, Value
from captum_blocks.grammar import Content, Hidden, Substrate
from captum_blocks.reliability import AttributionCheck

TOLD = ("key", "content", "kind", "axes", "unit")


@dataclass(frozen=True, eq=False)
class Entry:
    """An array of an archive.

    Attributes:
        key: its short name.
        content: of what: the words of a content, of groups or of a layer; empty for the whole.
        kind: what it holds, in words.
        axes: a name for each of its axes.
        unit: of its numbers; empty where they have none.
        array: of numbers or of text.
    """

    key: str
    content: str
    kind: str
    axes: tuple[str, ...]
    unit: str
    array: np.ndarray


def archive(entries: Iterable[Entry]) -> dict[str, np.ndarray]:
    """Arrays by key, and under "keys" the table of what they are; none of them needs pickle.

    Of two entries of one key the second is called otherwise.

    >>> held = archive([Entry("v0", "Activation(...)", "value", ("image",), "logit", np.ones(1))])
    >>> held["keys"][0].tolist(), held["v0"].tolist()
    (('v0', 'Activation(...)', 'value', 'image', 'logit'), [1.0])
    """
    arrays: dict[str, np.ndarray] = {}
    told = []
    for entry in entries:
        key = entry.key
        while key in arrays or key == "keys":
            key += "_"
        arrays[key] = entry.array
        told.append((key, entry.content, entry.kind, ", ".join(entry.axes), entry.unit))
    widths = [max([1, *(len(row[i]) for row in told)]) for i in range(len(TOLD))]
    table = [(name, f"<U{width}") for name, width in zip(TOLD, widths, strict=True)]
    return {"keys": np.array(told, dtype=table), **arrays}


def of_answers(answered: Answered) -> Iterator[Entry]:
    """The photographs' names, the classes' names, and what was answered."""
    yield _names("photographs", "names of the photographs", "image", answered.photographs)
    yield _names("classes", "names of the classes", "class", answered.classes)
    axes = ("image", "class")
    yield Entry(
        "scores", "", "what the network answered", axes, answered.unit, _array(answered.scores)
    )
    if answered.probabilities is not None:
        held = _array(answered.probabilities)
        yield Entry("probabilities", "", "probability of each class", axes, PROBABILITY, held)


def of_values(values: Mapping[Content, Value]) -> Iterator[Entry]:
    """Each value as "v0", "v1" and so on, in the order of the page, with all that belongs to it."""
    for number, (content, value) in enumerate(values.items()):
        key, words = f"v{number}", repr(content)
        yield Entry(key, words, "value", value.axes, value.unit, _array(value.data))
        for name, kind, axes, unit, held in _parts(value):
            yield Entry(f"{key}.{name}", words, kind, axes, unit, held)


def of_groups(groups: Mapping[Substrate, Groups]) -> Iterator[Entry]:
    """Directions and maps of each grouping as "g0", "g1" and so on."""
    for number, (substrate, held) in enumerate(groups.items()):
        for name, kind, axes, unit, tensor in (
            ("directions", "directions of the groups", ("group", "channel"), "", held.directions),
            (
                "maps",
                "how much each group fires",
                ("image", "group", *POSITIONS),
                "activation",
                held.fires,
            ),
            (
                "unexplained",
                "share of the activation in no group",
                ("image",),
                "",
                held.unexplained,
            ),
        ):
            yield Entry(f"g{number}.{name}", repr(substrate), kind, axes, unit, _array(tensor))


def of_trust(trust: Trust) -> Iterator[Entry]:
    """How far icons deserve belief, under "trust"; nothing where none was judged."""
    if not len(trust):
        return
    yield _names("trust.icons", "names of the icons judged", "icon", [e.name for e in trust])
    yield _names("trust.levels", "how far each deserves belief", "icon", [e.level for e in trust])
    agreements = [[each.path.agreement, each.path.low, each.path.high] for each in trust]
    kind = "how far its way agrees with that of photographs, and the ends of the interval"
    yield Entry("trust.agreement", "", kind, ("icon", "end"), "", np.array(agreements))
    stands = [nan if each.standing is None else each.standing.jittered for each in trust]
    kind = "share of photographs that excite the unit less than its shifted icon"
    yield Entry("trust.percentile", "", kind, ("icon",), "", np.array(stands))


def of_exchanges(exchanged: Mapping[Hidden, Exchanged]) -> Iterator[Entry]:
    """How answers change with a layer exchanged, as "x0", "x1" and so on."""
    for number, (layer, held) in enumerate(exchanged.items()):
        both = (
            ("taken", held.taken, "taken from other pictures"),
            ("put", held.put, "put into other pictures"),
        )
        for word, changes, how in both:
            for name, kind, unit, tensor in _changes(changes, held):
                key, said = f"x{number}.{word}.{name}", f"{kind}, the layer {how}"
                yield Entry(key, repr(layer), said, ("image", "other"), unit, _array(tensor))
        if held.before is not None:
            kind = "whether the image's top class was the other's answer before"
            axes = ("image", "other")
            yield Entry(f"x{number}.before", repr(layer), kind, axes, "", _array(held.before))


def of_weighed(weighed: Iterable[Weighed]) -> Iterator[Entry]:
    """How far attributions are to be believed, as "a0", "a1" and so on."""
    for number, each in enumerate(weighed):
        key, words = f"a{number}", repr(each.content)
        said = np.array([each.level, each.phrase, each.why], dtype=np.str_)
        yield Entry(f"{key}.verdict", words, "level, phrase and evidence", ("said",), "", said)
        if each.check is None:
            continue
        axes = ("image", "class", *(axis for axis in each.coords if axis not in ("image", "class")))
        for axis in axes:
            there = np.array(each.coords[axis], dtype=np.int64)
            kind = f"what stands along {axis}"
            yield Entry(f"{key}.axis.{axis}", words, kind, (axis,), "", there)
        names = np.array(list(each.methods), dtype=np.str_)
        yield Entry(f"{key}.methods", words, "names of the methods", ("method",), "", names)
        numbers = _array(torch.stack(list(each.methods.values())))
        kind = "the attribution by each method"
        yield Entry(f"{key}.by", words, kind, ("method", *axes), each.unit, numbers)
        for name, kind, held in (
            ("low", "least number of any method", each.check.low),
            ("high", "largest number of any method", each.check.high),
        ):
            shaped = _array(held).reshape(numbers.shape[1:])
            yield Entry(f"{key}.{name}", words, kind, axes, each.unit, shaped)
        yield from _correlations(key, words, each.check)


def _correlations(key: str, words: str, check: AttributionCheck) -> Iterator[Entry]:
    axes = ("image", "class")
    for name, kind, lead, held in (
        ("agreement", "rank correlation with removal", (), check.agreement),
        ("alike", "rank correlation with each other method", ("other method",), check.alike),
        ("shuffled", "rank correlation with shuffled weights", (), check.shuffled),
        ("spread", "range over methods, as a share of the largest", (), check.spread),
    ):
        yield Entry(f"{key}.{name}", words, kind, (*lead, *axes), "", _array(held))


def _changes(changes: Changes, held: Exchanged) -> list[tuple[str, str, str, Tensor]]:
    every = (
        ("score", "change of the score of the image's top class", held.unit, changes.score),
        ("every", "mean absolute change of all outputs", held.every, changes.every),
        ("top", "whether the image's top class is the answer", "", changes.top),
    )
    return [(name, kind, unit, one) for name, kind, unit, one in every if one is not None]


Part = tuple[str, str, tuple[str, ...], str, np.ndarray]


def _parts(value: Value) -> Iterator[Part]:
    """(name, kind, axes, unit, array) of what belongs to a value."""
    leading = value.axes[: 1 + len(value.target_axes)]
    for axis in value.axes:
        held = np.array(value.coords[axis], dtype=np.int64)
        yield f"axis.{axis}", f"what stands along {axis}", (axis,), "", held
    for axis, names in value.labels.items():
        yield f"names.{axis}", f"names along {axis}", (axis,), "", _text(names)
    for axis, place in value.places.items():
        yield f"place.{axis}", f"the {axis} that was picked", (), "", np.array(place)
    yield from _tensors("{}", "remainder: {}", leading, value.unit, value.remainder)
    for name, tensor in others(value).items():
        unit = PROBABILITY if name == PROBABILITY else value.unit
        yield from _tensors("also.{}", "also: {}", value.axes, unit, {name: tensor})
    yield from _tensors("ends.{}", "end: {}", leading, value.unit, value.ends)
    yield from _tensors("sides.{}", "sum {}", leading, value.unit, value.sides)
    yield from _mapped(value, leading)
    if value.switches is not None:
        axes = ("image", "subset", *leading[1:], *value.source_axes)
        kind = "score of every set of groups: bit i of a subset says that group i is there"
        yield "subsets", kind, axes, value.unit, _array(value.switches.scores)


def _mapped(value: Value, leading: tuple[str, ...]) -> Iterator[Part]:
    """Maps, where they say more than the numbers, and are of the whole photograph."""
    maps = value.maps
    if maps is None or maps.numel() <= value.data.numel() or set(POSITIONS) & set(value.places):
        return
    atoms = tuple(axis for axis in value.source_axes if axis not in POSITIONS)
    one = (value.source.atom,) if maps.ndim > len(leading) + len(atoms) + 2 else ()
    axes = (*leading, *(atoms or one), *POSITIONS)
    yield "maps", "the same at each place, before their sum or mean", axes, value.unit, _array(maps)
    rest = (*leading, *POSITIONS)
    yield from _tensors(
        "maps.{}", "map of the remainder: {}", rest, value.unit, value.remainder_maps
    )


def _tensors(
    key: str, kind: str, axes: tuple[str, ...], unit: str, held: Mapping[str, Tensor]
) -> Iterator[Part]:
    for name, tensor in held.items():
        short = re.sub(r"\W+", "_", name).strip("_")
        yield key.format(short), kind.format(name), axes, unit, _array(tensor)


def _names(key: str, kind: str, axis: str, names: Sequence[str]) -> Entry:
    return Entry(key, "", kind, (axis,), "", _text(names))


def _text(names: Sequence[str]) -> np.ndarray:
    return np.array(list(names), dtype=np.str_)


def _array(tensor: Tensor) -> np.ndarray:
    held: Any = tensor.detach().cpu()
    return np.asarray((held.float() if held.dtype == torch.bfloat16 else held).numpy())
