"""How many things a unit stands for: planted units of small trained networks."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

import captum_blocks as cb
from captum_blocks.compose.sorting import Sorting
from captum_blocks.errors import InvalidArgument
from captum_blocks.reliability import described
from captum_blocks.store import Store
from tests.benchmarks.meanings import LAYER, QUALITY, asked, precision_and_recall
from tests.reference.planted import Planted
from tests.reference.scenes import scenes

UNITS, PHOTOGRAPHS, SEED = 20, 400, 5
Found = tuple[Planted, cb.Network, cb.Trust]
Asked = tuple[Planted, cb.Network, Sorting]


@pytest.fixture(scope="module")
def planted() -> Asked:
    return asked(SEED, UNITS, PHOTOGRAPHS)


@pytest.fixture(scope="module")
def found(planted: Asked, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """One unit with two detectors and one with one, all that is told of them."""
    module, net, sorting = planted
    store = Store(tmp_path_factory.mktemp("icons"))
    words = cb.Hidden(LAYER).channels[[0, 1]]
    return (
        module,
        net,
        cb.trust(words, net, sorting.index, meanings=True, quality=QUALITY, store=store),
    )


def test_two_are_told_from_one(planted: Asked) -> None:
    """Of fewer units than ``tests.benchmarks.meanings`` counts, to the same bound."""
    module, _, sorting = planted
    numbers = [sorting.counted(unit)[1].number for unit in range(UNITS)]
    truths = [len(each.kinds) for each in module.truths]
    precision, recall = precision_and_recall(list(zip(truths, numbers, strict=True)))
    assert precision >= 0.9
    assert recall >= 0.9


def test_photographs_of_each_meaning_are_those_of_a_kind(found: Found) -> None:
    module, _, trust = found
    kinds = scenes(PHOTOGRAPHS, SEED + 1)[1]
    for trusted, truth in zip(trust, module.truths, strict=False):
        meant = trusted.meant
        assert meant is not None
        assert trusted.meanings == meant.number == len(truth.kinds) == len(meant.each)
        shown = [kinds[[each.image for each in one.examples]].tolist() for one in meant.each]
        assert {max(set(held), key=held.count) for held in shown} == set(truth.kinds)
        right = sum(held.count(max(set(held), key=held.count)) for held in shown)
        assert right >= 0.95 * sum(map(len, shown))
        assert sum(one.share for one in meant.each) == pytest.approx(1)
        assert [one.share for one in meant.each] == sorted(
            (o.share for o in meant.each), reverse=True
        )
        sources = [each.source for one in meant.each for each in one.examples]
        assert len(sources) == len(set(sources)) <= 64
    assert trust.to_frame().meanings.tolist() == [2, 1]


def test_each_meaning_has_a_picture_that_agrees_with_its_own_photographs(found: Found) -> None:
    _, net, trust = found
    two, one = (each.meant for each in trust)
    assert two is not None
    assert one is not None
    assert [each.picture.shape for each in (*two.each, *one.each)] == [(48, 48, 3)] * 3  # type: ignore[union-attr]
    for number, meaning in enumerate(two.each):
        assert meaning.likeness[number] == max(meaning.likeness)
        assert meaning.likeness[number] > meaning.likeness[1 - number] + 0.1
    # The same again by hand, of the first picture and the first meaning.
    names = trust[0].path.layers[:-1]
    pixels = torch.from_numpy(two.each[0].picture).permute(2, 0, 1)[None] / 127.5 - 1
    photographs = scenes(PHOTOGRAPHS, SEED + 1)[0] * 2 - 1

    def at(image: torch.Tensor, places: torch.Tensor) -> list[torch.Tensor]:
        found = []
        for name in names:
            maps = next(iter(net.activations(name, [image], batch_size=1)))
            fine = maps.shape[-1] // 12
            counts = places.repeat_interleave(fine, 0).repeat_interleave(fine, 1)
            found.append(maps[..., counts].mean(2))
        return found

    own, middle = [], torch.zeros(12, 12, dtype=torch.bool)
    middle[6, 6] = True
    for each in two.each[0].examples:
        place = torch.zeros(12, 12, dtype=torch.bool)
        place[each.position] = True
        own.append(at(photographs[each.image][None], place))
    mean = described([torch.cat(each) for each in zip(*own, strict=True)]).mean(0)
    shown = described(at(pixels, middle))[0]
    expected = nn.functional.cosine_similarity(shown, mean, dim=0)
    assert two.each[0].likeness[0] == pytest.approx(expected.item(), abs=1e-4)


def test_what_is_said_has_the_uncertainty_and_what_random_directions_have(found: Found) -> None:
    _, _, trust = found
    meant = trust[0].meant
    assert meant is not None
    assert 10 <= len(meant.by_chance) <= 20
    assert set(meant.by_chance) <= {1, 2, 3, 4, 5}
    share = sum(each >= 2 for each in meant.by_chance) / len(meant.by_chance)
    assert meant.chance == share
    assert meant.told == (
        f"meanings: 2, in {meant.found.resampled[1]:.0%} of resamples; of "
        f"{len(meant.by_chance)} random directions of this layer {share:.0%} have as many or more"
    )
    assert meant.told in str(trust)


def test_without_activations_nothing_is_known_of_random_directions(
    found: Found, tmp_path: Path
) -> None:
    _, net, _ = found
    pictures = list(scenes(120, SEED + 1)[0] * 2 - 1)
    index = cb.ExampleIndex.build(net, pictures, [LAYER], keep="extremes", progress=False)
    words = cb.Hidden(LAYER).channels[[0]]
    (one,) = cb.trust(
        words, net, index, meanings=True, quality=QUALITY, store=Store(tmp_path / "icons")
    )
    assert one.meant is not None
    assert one.meant.number == 2
    assert math.isnan(one.meant.chance)
    assert one.meant.told.endswith("; of random directions nothing is known")


def test_of_dead_units_and_few_photographs_nothing_is_said(tmp_path: Path) -> None:
    class Dead(nn.Module):
        """Channel 0 is dead, channel 1 likes three pictures."""

        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())
            self.out, self.head = nn.ReLU(), nn.Linear(8, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            maps = self.first(x).clone()
            maps[:, 0] = 0
            maps[:, 1] = (x[:, 0, 0, 0] == 5).float()[:, None, None]
            return self.head(self.out(maps).mean((2, 3)))  # type: ignore[no-any-return]

    pictures = scenes(60, 3)[0] * 2 - 1
    pictures[:3, 0, 0, 0] = 5
    net = cb.Network(Dead().eval(), cb.Preprocess(size=48, mean=(0.5,) * 3, std=(0.5,) * 3))
    index = cb.ExampleIndex.build(net, list(pictures), ["out"], progress=False)
    store = Store(tmp_path / "icons")
    words = cb.Hidden("out").channels[[0, 1]]
    dead, rare = cb.trust(words, net, index, meanings=True, quality=QUALITY, store=store)
    assert dead.meant is not None
    assert rare.meant is not None
    assert dead.meant.told == (
        "meanings: unknown, as no photograph excites it: the unit is dead as far as they tell"
    )
    assert rare.meant.told.startswith("meanings: unknown, as 3 different photographs excite")
    assert (dead.meanings, rare.meanings, dead.meant.each) == (None, None, ())
    few = cb.ExampleIndex.build(net, list(pictures[:20]), ["out"], progress=False)
    (unknown,) = cb.trust(words_of(1), net, few, meanings=True, quality=QUALITY, store=store)
    assert unknown.meant is not None
    assert unknown.meant.told.startswith("meanings: unknown, as the index is of 20 different")


def words_of(channel: int) -> cb.Substrate:
    return cb.Hidden("out").channels[[channel]]


def test_the_first_layer_has_none_before_it(tmp_path: Path) -> None:
    net = cb.Network(nn.Sequential(nn.Conv2d(3, 9, 3, 2), nn.ReLU()), cb.Preprocess(size=48))
    index = cb.ExampleIndex.build(net, list(scenes(60, 3)[0]), ["0"], progress=False)
    with pytest.raises(InvalidArgument, match="no layer before '0' can be looked at"):
        cb.trust(cb.Hidden("0").channels[[1]], net, index, meanings=True, quality=QUALITY)
