"""Photographs changed towards an objective: alone, among others, with further terms."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.optim import (
    Accentuation,
    Channel,
    ClassLogit,
    Diversity,
    FeatureVisualizer,
    Noise,
    TotalVariation,
    objective,
)
from captum_blocks.optim.filters import NARROW, WIDE
from captum_blocks.optim.objectives import Seen
from captum_blocks.optim.recipe import Recipe

PHOTO = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(2)) * 0.8 + 0.1
RECIPE = {"size": 16, "n_steps": 6, "photo": PHOTO}


def distances(images: Tensor) -> list[float]:
    return (images - PHOTO).abs().mean((1, 2, 3)).tolist()


def test_a_photograph_stays_recognisable_under_accentuation(visualizer):
    recipe = {**RECIPE, "n_steps": 15}
    free = visualizer.visualize(Channel(1), **recipe)
    held = visualizer.visualize(Accentuation(Channel(1), 2.0), **recipe)
    assert 0 < distances(held.images)[0] < distances(free.images)[0]


@pytest.mark.parametrize("layer", [None, "act", "input"])
def test_the_distance_can_be_taken_anywhere(visualizer, layer):
    recipe = {**RECIPE, "n_steps": 15}
    free, held = visualizer.visualize(
        [Channel(1), Accentuation(Channel(1), 4.0, layer)], **recipe
    ).images
    assert 0 < distances(held[None])[0] < distances(free[None])[0]


@pytest.mark.parametrize("memory_budget", [1, 2**30])
def test_a_picture_beside_accentuations_is_the_same(stem, memory_budget):
    """Transforms draw for the photograph too, and must not draw for the neighbour's."""
    visualizer = FeatureVisualizer(stem, "second", memory_budget=memory_budget)
    recipe = {**RECIPE, "transforms": Noise(0.1)}
    among = visualizer.visualize(
        [Channel(1), Accentuation(Channel(1)), Channel(2), Accentuation(Channel(2))], **recipe
    )
    for row, one in enumerate([Channel(1), Accentuation(Channel(1)), Channel(2)]):
        alone = visualizer.visualize(one, **recipe)
        torch.testing.assert_close(among.images[row], alone.images[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("made", "plain"),
    [
        (2.0 * Accentuation(Channel(1)), Accentuation(Channel(1))),
        (Accentuation(Channel(1)) / 2, Accentuation(Channel(1))),
        (Accentuation(Channel(1)) - 0.0 * TotalVariation(), Accentuation(Channel(1))),
        (0.0 * TotalVariation() + Accentuation(Channel(1)) * 1.0, Accentuation(Channel(1))),
    ],
)
def test_its_algebra_keeps_what_it_is(visualizer, made, plain):
    recipe = {**RECIPE, "normalize_gradient": True}
    images = [visualizer.visualize(one, **recipe).images for one in (made, plain)]
    torch.testing.assert_close(images[0], images[1], atol=1e-4, rtol=0)


def test_a_penalty_is_felt(visualizer):
    rough, smooth = visualizer.visualize(
        [Accentuation(Channel(1)), Accentuation(Channel(1)) - 50 * TotalVariation()],
        **{**RECIPE, "n_steps": 15},
    ).images
    assert roughness(smooth) < 0.9 * roughness(rough)


def roughness(image: Tensor) -> float:
    return TotalVariation().score(Seen({}, image[None], "none")).item()


def test_copies_are_held_back_each(visualizer):
    made = visualizer.visualize(
        [Accentuation(Channel(1)).copies(2), Accentuation(Channel(1).copies(2) + Diversity())],
        **RECIPE,
    )
    single = visualizer.visualize(Accentuation(Channel(1)), **RECIPE)
    assert made.images.shape == (4, 3, 16, 16)
    torch.testing.assert_close(made.images[0], single.images[0], atol=1e-4, rtol=0)


ROUND = (
    "turns an accentuation round, which would push the picture away from its photograph; "
    "do it inside, e.g. Accentuation(-Channel(3))"
)
SEVERAL = (
    "has 2 accentuations, and a picture is held back once; "
    "join the objectives inside, e.g. Accentuation(Channel(3) + Channel(4))"
)
HELD = Accentuation(Channel(0))


@pytest.mark.parametrize(
    ("one", "recipe", "message"),
    [
        (HELD, {"photo": None}, "Accentuation changes a photograph: give visualize(..., photo=x)"),
        (HELD, {"alpha": True}, "Accentuation has no use for alpha; leave it out"),
        (-HELD, {}, f"'-accentuated channel 0' {ROUND}"),
        (Channel(1) - HELD, {}, f"'channel 1 - accentuated channel 0' {ROUND}"),
        (HELD * Channel(1), {}, f"'accentuated channel 0 * channel 1' {ROUND}"),
        (HELD / -2, {}, f"'accentuated channel 0 / -2' {ROUND}"),
        (HELD + HELD, {}, f"'accentuated channel 0 + accentuated channel 0' {SEVERAL}"),
        (Accentuation(HELD), {}, f"'accentuated accentuated channel 0' {SEVERAL}"),
    ],
)
def test_what_cannot_be_meant_is_refused(visualizer, one, recipe, message):
    started = objective(lambda maps: pytest.fail("work has started"), name="late")
    with pytest.raises(InvalidArgument, match=f"^{re.escape(message)}$"):
        visualizer.visualize([started, one], **{**RECIPE, **recipe})


def test_a_class_in_a_photograph_is_seen_in_the_light_of_the_photograph():
    accentuated = Accentuation(ClassLogit(2), layer="input")
    recipe = Recipe(size=16)
    assert recipe.seen_through(accentuated, "second") == NARROW
    assert recipe.seen_through(accentuated + ClassLogit(1), "second") == NARROW
    assert recipe.seen_through(ClassLogit(2), "second") == WIDE
