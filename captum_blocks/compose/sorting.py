"""The photographs that excite a unit, sorted by what they show, and a picture of each sort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from captum_blocks.compose.evaluation.meant import Meaning, Meant
from captum_blocks.compose.judging import Judging
from captum_blocks.compose.pictures.plan import Wanted, plan_pictures
from captum_blocks.compose.pictures.requests import Subject, direction_of
from captum_blocks.errors import InvalidArgument
from captum_blocks.examples import Example
from captum_blocks.optim import Neuron, NeuronDirection
from captum_blocks.optim.units import along
from captum_blocks.reliability import Meanings, described, meanings
from captum_blocks.reliability.places import active, spots

# Of a unit the photographs that excite it most, and one of each of so many bands of all others that
# excites it at least so much as those do in the median; together not more than so many.
TOP, BANDS, EXCITED, MOST = 24, 256, 0.4, 64
# Random directions of the layer, which a number of meanings is held against.
DIRECTIONS = 20


class Sorting:
    """The meanings of units of one layer, after ``reliability.meanings``.

    Args:
        judging: of the layer, whose network looks at the photographs.

    Raises:
        InvalidArgument: the layer has no places; no layer before it can be looked at.
    """

    def __init__(self, judging: Judging) -> None:
        self.layer, self.index = judging.layer, judging.index
        self.looker, self.renderer = judging.looker, judging.renderer
        if len(self.looker.walk.layers) < 2:
            raise InvalidArgument(
                f"no layer before {self.layer!r} can be looked at, so its units' photographs "
                "cannot be sorted by what they show; those of a later layer can"
            )

    def meant(self, subject: Subject) -> Meant:
        """The meanings of a channel, each with its photographs and a picture."""
        examples, found = self.counted(subject.index)
        if found.number is None:
            return Meant(found)
        layers = self._before(examples)
        rows = [(found.labels == each).nonzero()[:, 0] for each in range(found.number)]
        subjects = [
            self._narrowed(subject, examples, layers[-1], own, number) if len(rows) > 1 else subject
            for number, own in enumerate(rows, 1)
        ]
        means = torch.stack([described(layers)[own].mean(0) for own in rows])
        drawn = self._drawn(subjects)
        each = tuple(
            Meaning(
                tuple(examples[row] for row in own),
                len(own) / len(examples),
                drawn[narrowed],
                self._likeness(narrowed, drawn[narrowed], means),
            )
            for own, narrowed in zip(rows, subjects, strict=True)
        )
        return Meant(found, self.by_chance, each)

    def counted(self, channel: int) -> tuple[list[Example], Meanings]:
        """The photographs of a channel, and how many meanings they have."""
        if self.index.too_few:
            return [], Meanings.unknown(self.index.too_few)
        (examples,) = self._examples((self.layer, [channel]), None)
        if not examples:
            return [], Meanings.unknown(
                "no photograph excites it: the unit is dead as far as they tell"
            )
        return examples, self._meanings(examples)

    @cached_property
    def by_chance(self) -> tuple[int, ...]:
        """(direction,) how many meanings random directions of the layer have.

        Those that fewer than eight photographs excite are left out; none are known where the index
        keeps no activations.
        """
        if not self.index.keeps(self.layer):
            return ()
        width = self.index.tables(self.layer)["maximum"].shape[1]
        generator = torch.Generator().manual_seed(self.renderer.quality.seed)
        drawn = torch.randn(DIRECTIONS, width, generator=generator, dtype=torch.float64)
        lists = self._examples(functional.normalize(drawn, dim=1), self.layer)
        self.looker.look([example for each in lists for example in each])
        found = [self._meanings(each, 0).number for each in lists if each]
        return tuple(each for each in found if each is not None)

    def _examples(self, units: object, layer: str | None) -> list[list[Example]]:
        """By each unit the photographs that are sorted, those that excite it most first."""
        count, seed = self.index.count, self.renderer.quality.seed
        first = self.index.top(units, min(TOP, count), layer=layer, exact=False)
        others = self.index.top(
            units, min(BANDS, count), "quantiles", layer=layer, exact=False, seed=seed
        )
        return [_together(*each) for each in zip(first, others, strict=True)]

    def _before(self, examples: Sequence[Example]) -> list[Tensor]:
        """(photograph, feature) of each layer before the unit's, where it stands."""
        return list(self.looker.photographs(examples).vectors[:-1])

    def _meanings(self, examples: Sequence[Example], resamples: int | None = None) -> Meanings:
        seen = self.looker.photographs(examples)
        more = {} if resamples is None else {"resamples": resamples}
        return meanings(described(seen.vectors[:-1]), seen.sources, **more)

    def _narrowed(
        self,
        subject: Subject,
        examples: Sequence[Example],
        before: Tensor,
        own: Tensor,
        number: int,
    ) -> Subject:
        """The channel, together with what tells some of its photographs from the others.

        That is a direction in the layer before, scaled so that both do as much for what is shown by
        these photographs; both in the middle, as elsewhere the unit could show what it likes.
        """
        others = torch.ones(len(before), dtype=torch.bool).index_fill(0, own, False)
        aim = direction_of(before[own].mean(0) - before[others].mean(0))
        does = along(before[own][..., None, None], before.new_tensor(aim), 1.0).mean()
        value = float(np.mean([examples[row].value for row in own.tolist()]))
        weight = float(f"{value / max(float(does), 1e-6):.3g}")
        narrow = NeuronDirection(aim, layer=self.looker.walk.layers[-2])
        return replace(
            subject,
            key=f"{subject.key}/meaning/{number}",
            label=f"{subject.label}, meaning {number}",
            instead=Neuron(subject.index) + weight * narrow,
        )

    def _drawn(self, subjects: Sequence[Subject]) -> Mapping[Subject, np.ndarray]:
        """(y, x, 3) bytes of each."""
        drawn = self.renderer.draw(plan_pictures([Wanted(tuple(subjects))], len(subjects)))
        return {each: drawn[each.key].pixels for each in subjects}  # type: ignore[union-attr]

    def _likeness(self, subject: Subject, pixels: np.ndarray, means: Tensor) -> tuple[float, ...]:
        """(meaning,) cosines of what a picture does before the unit with what photographs do."""
        picture = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255
        taken = self.looker.as_taken(picture[:, : self.renderer.channels])
        maps = self.looker.walk.maps(taken)
        rows, columns = maps[-1].shape[-2:]
        # What tells a meaning is asked for in the middle alone: elsewhere the unit shows what it
        # likes, as it does all over its icon.
        middle = spots([(rows // 2, columns // 2)], (rows, columns))
        places = middle if subject.instead is not None else active(maps[-1][:, subject.index])
        own = described(self.looker.walk.cut(maps[:-1], places))
        return tuple(functional.cosine_similarity(own, means).tolist())


def _together(first: Sequence[Example], others: Sequence[Example]) -> list[Example]:
    """Those of both that excite the unit enough, each photograph once."""
    if not first:
        return []
    least = EXCITED * float(np.median([each.value for each in first]))
    enough = [each for each in first if each.value >= max(least, 1e-12)]
    known = {each.source for each in enough}
    more = [each for each in others if each.value >= max(least, 1e-12) and each.source not in known]
    places = np.linspace(0, len(more) - 1, min(len(more), MOST - len(enough))).round().astype(int)
    return enough + [more[place] for place in places]
