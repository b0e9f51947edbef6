"""The part of each photograph that matters to an example."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captum_blocks.examples.again import BATCH, Again
from captum_blocks.examples.asking import Question
from captum_blocks.examples.crops import Crop, cropped
from captum_blocks.examples.example import Box, Example
from captum_blocks.examples.reading import Batch
from captum_blocks.network import Network

Found = list[list[Example]]


def boxed(found: Found, question: Question, again: Again, net: Network, sign: int | None) -> Found:
    """The same examples with their boxes: the smallest part that alone keeps the activation.

    Args:
        found: examples of each channel or direction that was asked for.
        question: what was asked.
        again: reads their photographs, checked to be those of the index.
        net: the network.
        sign: 1 where examples are of high values and -1 where they are of low ones; None: each
            value's own.
    """
    boxes: dict[tuple[int, int], tuple[Box | None, str]] = {}
    asked = [(unit, each) for unit, examples in enumerate(found) for each in examples]
    for batch, chosen in _batches(sorted(asked, key=lambda pair: pair[1].image), again):
        rows = [batch.images.index(example.image) for _, example in chosen]
        assert batch.x is not None
        crops = cropped(
            net.module,
            again.layer,
            batch.x[rows],
            torch.tensor([example.position for _, example in chosen]),
            _units(question, [unit for unit, _ in chosen]),
            layout=again.layout(batch.x),
            signs=None if sign is None else torch.full((len(rows),), float(sign)),
        )
        for (unit, example), row, crop in zip(chosen, rows, crops, strict=True):
            boxes[unit, example.image] = _on_photograph(crop, batch.shown[row]), crop.note
    return [
        [_with(each, *boxes[unit, each.image]) for each in examples]
        for unit, examples in enumerate(found)
    ]


def _batches(
    asked: Sequence[tuple[int, Example]], again: Again
) -> Iterator[tuple[Batch, list[tuple[int, Example]]]]:
    """Some photographs at a time, with the examples that they are."""
    images = sorted({example.image for _, example in asked})
    for start in range(0, len(images), BATCH):
        some = images[start : start + BATCH]
        yield again.read(some), [pair for pair in asked if pair[1].image in some]


def _units(question: Question, units: Sequence[int]) -> Tensor:
    if question.channels is not None:
        return torch.tensor([question.channels[unit] for unit in units])
    assert question.directions is not None
    return torch.from_numpy(np.asarray(question.directions[list(units)], np.float32))


def _on_photograph(crop: Crop, shown: Any) -> Box | None:
    """In fractions of the photograph; of a ready tensor, of what the network takes."""
    if shown is None:
        high, wide, box = *crop.shape, crop.box
    else:
        size, extent = shown
        (wide, high), box = size, crop.on_photograph(size, extent)  # type: ignore[assignment]
    if box is None:
        return None
    return (box[0] / high, box[1] / wide, box[2] / high, box[3] / wide)


def _with(example: Example, box: Box | None, note: str) -> Example:
    return replace(example, box=box, note=note)
