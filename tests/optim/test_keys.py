"""Keys of pictures: equal where the picture is, different where it may not be, or none at all."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from captum_blocks.layouts import Layout
from captum_blocks.optim import (
    Channel,
    ClassLogit,
    FeatureVisualizer,
    Fourier,
    Jitter,
    NAdam,
    Pixel,
    Transform,
    objective,
)
from captum_blocks.optim.objectives import Objective, Seen


def brightness(pixels: Tensor) -> Tensor:
    return pixels.mean((1, 2, 3))


def test_equal_questions_have_equal_keys(stem):
    keys = {
        FeatureVisualizer(copy.deepcopy(stem), "second").key(Channel(1), size=s, seed=0)
        for s in (64, (64, 64))
    }
    (key,) = keys
    assert json.loads(key)["objective"]["channel"] == 1


def test_whatever_changes_a_picture_changes_its_key(stem):
    made = FeatureVisualizer(stem, "second")
    photo = torch.zeros(3, 8, 8)
    keys = [
        made.key(Channel(1)),
        made.key(Channel(2)),
        made.key(Channel(1, "act")),
        made.key(Channel(1), size=64),
        made.key(Channel(1), n_steps=3),
        made.key(Channel(1), seed=1),
        made.key(Channel(1), parameterization="pixel"),
        made.key(Channel(1), parameterization=Pixel(deviation=0.5)),
        made.key(Channel(1), transforms="none"),
        made.key(Channel(1), transforms=Jitter(3)),
        made.key(Channel(1), optimizer="adam"),
        made.key(Channel(1), optimizer=NAdam()),
        made.key(Channel(1), optimizer=NAdam(square=0.9)),
        made.key(Channel(1), learning_rate=0.2),
        made.key(Channel(1), alpha=True),
        made.key(Channel(1), photo=photo),
        made.key(Channel(1), photo=photo + 0.1),
        made.key(Channel(1), keep_best=True),
        FeatureVisualizer(stem, "act").key(Channel(1)),
        FeatureVisualizer(stem, "second", lambda x: x - 0.5).key(Channel(1)),
        FeatureVisualizer(stem, "second", lambda x: x - 0.4).key(Channel(1)),
        FeatureVisualizer(stem, "second", autocast=torch.bfloat16).key(Channel(1)),
    ]
    assert None not in keys
    assert len(set(keys)) == len(keys)


def test_the_key_of_a_class_names_the_transforms_meant_for_it(stem):
    made = FeatureVisualizer(stem, "second")
    keys = {
        name: made.key(ClassLogit(1), transforms=name, size=16)
        for name in ("robust", "wide", "narrow")
    }
    assert keys["robust"] == keys["wide"] != keys["narrow"]
    assert made.key(Channel(1)) == made.key(Channel(1), transforms="narrow")


class Enlarge:
    """To a size the network takes, with a mean that may change."""

    def __init__(self) -> None:
        self.mean = 0.5

    def __call__(self, pixels: Tensor) -> Tensor:
        size = (224, 224)
        return torch.nn.functional.interpolate(pixels, size, mode="bilinear") - self.mean


def test_a_preprocessing_that_enlarges_makes_no_larger_key(stem):
    prepare = Enlarge()
    made = FeatureVisualizer(stem, "second", prepare)
    key = made.key(Channel(1), size=16)
    assert len(key) < 1500
    assert FeatureVisualizer(stem, "second", Enlarge()).key(Channel(1), size=16) == key
    prepare.mean = 0.4
    assert made.key(Channel(1), size=16) != key


def test_callables_have_no_key(visualizer):
    assert visualizer.key(objective(brightness)) is None
    assert visualizer.key(Channel(1), optimizer=torch.optim.Adam) is None
    assert visualizer.key(Channel(1), transforms=[lambda x: x]) is None
    assert visualizer.key(Channel(1), schedule=lambda optimizer: None) is None


@dataclass(frozen=True)
class Loudest(Objective):
    layer: str | None = None

    def score(self, seen: Seen) -> Tensor:
        return seen.at(self.layer).amax((1, 2, 3))


class Quieter(Channel):
    def score(self, seen: Seen) -> Tensor:
        return -super().score(seen)


@dataclass(frozen=True)
class Mirror(Transform):
    def __call__(self, images, generators):
        return images.flip(-1)


class Steadier(Jitter):
    pass


@dataclass(frozen=True)
class Coarse(Fourier):
    pass


class Own(Layout):
    pass


@pytest.mark.parametrize("one", [Loudest(), Quieter(1), 2 * Quieter(1), Loudest().copies(2)])
def test_classes_of_ones_own_are_known_by_name_only_and_have_no_key(visualizer, one):
    assert visualizer.key(one) is None
    assert visualizer.visualize(one, size=16, n_steps=2).images.isfinite().all()


@pytest.mark.parametrize(
    "recipe",
    [
        {"transforms": [Jitter(1), Mirror()]},
        {"transforms": Steadier(1)},
        {"parameterization": Coarse()},
    ],
)
def test_neither_have_transforms_and_parameterizations_of_ones_own(visualizer, recipe):
    assert visualizer.key(Channel(1), **recipe) is None


def test_nor_do_layouts(stem):
    assert FeatureVisualizer(stem, "second", layout=Own()).key(Channel(1)) is None
    assert FeatureVisualizer(stem, "second", layout=Layout()).key(Channel(1)) is not None
