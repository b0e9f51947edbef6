"""The loop: every objective's score rises, pictures are repeatable, nothing is left behind."""

from __future__ import annotations

import copy
import re
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.errors import InvalidArgument, LayerNotFound, UnusableLayer, WrongType
from captum_blocks.optim import (
    L1,
    L2,
    Alignment,
    Blurring,
    Boundary,
    Channel,
    ChannelInterpolation,
    ClassLogit,
    CollapseAlpha,
    DeepDream,
    Direction,
    Diverged,
    Diversity,
    FeatureVisualizer,
    Group,
    Inversion,
    Jitter,
    NAdam,
    Neuron,
    NeuronDirection,
    Opacity,
    Pixel,
    TensorDirection,
    TotalVariation,
    objective,
)
from tests.optim.conftest import Stem, seeded

VECTOR = (0.5, -1.0, 0.25, 2.0, 0.1)
TARGET = torch.rand(5, 4, 4, generator=torch.Generator().manual_seed(0))


def brightness(pixels: Tensor) -> Tensor:
    return pixels.mean((1, 2, 3))


RISING = [
    Channel(1),
    Neuron(1, y=0, x=3),
    Direction(VECTOR),
    NeuronDirection(VECTOR),
    Group(VECTOR),
    ClassLogit(2),
    DeepDream(),
    TensorDirection(TARGET),
    Inversion(TARGET),
    ChannelInterpolation(0, 3, n=3) + 0.1 * Alignment(),
    Channel(1).copies(3) + Diversity(),
    Channel(1) + 0.5 * Channel(2, "act") - Channel(3),
    -Channel(1),
    Channel(1) - 0.1 * TotalVariation() - 0.1 * L2(constant=0.5) - Blurring() - Boundary(2),
    objective(brightness, name="bright", layer="input"),
    L1(constant=0.3),
    Channel(1) - L1("act"),
]


@pytest.mark.parametrize("one", RISING, ids=lambda one: one.label)
def test_scores_rise(visualizer, one):
    made = visualizer.visualize(one, size=16, n_steps=30, transforms="none")
    assert (made.history[-1] > made.history[0]).all()
    assert made.images.shape == (one.n_images or 1, 3, 16, 16)


def test_scores_are_of_the_clean_final_image(visualizer, stem):
    made = visualizer.visualize([Channel(1), ClassLogit(2)], size=16, n_steps=3)
    with torch.no_grad():
        logits = stem(made.images)
        maps = stem.second(stem.act(stem.norm(stem.conv(made.images))))
    expected = torch.stack([maps[0, 1].mean(), logits[1, 2]])
    torch.testing.assert_close(made.scores, expected, atol=1e-5, rtol=1e-4)
    assert made.labels == ["channel 1", "class 2"]
    assert made.history.shape == (3, 2)


def test_the_first_step_follows_the_exact_gradient(visualizer, stem):
    rate = 0.5
    made = visualizer.visualize(
        Channel(1),
        size=16,
        n_steps=1,
        transforms="none",
        parameterization=Pixel(colour=None),
        optimizer="sgd",
        learning_rate=rate,
    )
    planes = 0.01 * torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0))
    planes.requires_grad_()
    maps = stem.second(stem.act(stem.norm(stem.conv(planes[None].sigmoid()))))
    (gradient,) = torch.autograd.grad(maps[0, 1].mean(), planes)
    expected = (planes + rate * gradient).sigmoid().detach()
    torch.testing.assert_close(made.images[0], expected, atol=1e-6, rtol=0)


def test_equal_seeds_give_equal_bits(visualizer):
    made = [
        visualizer.visualize([Channel(0), Channel(1)], size=16, n_steps=4, seed=s)
        for s in (3, 3, 4)
    ]
    assert torch.equal(made[0].images, made[1].images)
    assert not torch.allclose(made[0].images, made[2].images)


@pytest.mark.parametrize("parameterization", ["fourier", "laplacian", "maco"])
def test_a_picture_does_not_depend_on_its_neighbours(visualizer, parameterization):
    recipe = {"size": 16, "n_steps": 3, "parameterization": parameterization}
    alone = visualizer.visualize(Channel(1), **recipe)
    among = visualizer.visualize(
        [Channel(0).copies(2) + Diversity(), Channel(1), Neuron(2)], **recipe
    )
    torch.testing.assert_close(alone.images[0], among.images[2], atol=1e-4, rtol=0)


@given(
    height=st.integers(9, 24),
    width=st.integers(9, 24),
    channels=st.sampled_from([1, 3, 5]),
    seed=st.integers(0, 9),
    place=st.integers(0, 2),
)
@settings(max_examples=12, deadline=None)
def test_a_picture_is_the_same_alone_and_in_a_batch(height, width, channels, seed, place):
    visualizer = FeatureVisualizer(seeded(lambda: Stem(channels)), "second")
    recipe = {"size": (height, width), "n_steps": 3, "seed": seed, "channels": channels}
    batch = [Channel(0), Neuron(3), Direction(VECTOR)]
    alone = visualizer.visualize(batch[place], **recipe)
    among = visualizer.visualize(batch, **recipe)
    torch.testing.assert_close(alone.images[0], among.images[place], atol=1e-4, rtol=0)
    torch.testing.assert_close(alone.history[:, 0], among.history[:, place], atol=1e-4, rtol=1e-3)


def test_classes_are_seen_at_more_sizes_than_parts_of_the_network(stem):
    visualizer = FeatureVisualizer(stem, "second")
    recipe = {"size": 16, "n_steps": 3}
    mixed = [Channel(1), ClassLogit(2), 0.5 * ClassLogit(3) + Channel(1), Channel(2)]
    robust = visualizer.visualize(mixed, **recipe).images
    for transforms, rows in (("narrow", [0, 3]), ("wide", [1, 2])):
        made = visualizer.visualize(mixed, transforms=transforms, **recipe).images
        others = [row for row in range(4) if row not in rows]
        torch.testing.assert_close(made[rows], robust[rows], atol=1e-4, rtol=0)
        assert (made[others] - robust[others]).abs().amax((1, 2, 3)).min() > 1e-3
    by_layer = FeatureVisualizer(stem, stem).visualize(Channel(2), **recipe).images
    torch.testing.assert_close(by_layer[0], robust[1], atol=1e-4, rtol=0)


def test_a_split_batch_gives_the_same_pictures(stem):
    objectives = [Channel(c) for c in range(5)] + [Channel(0).copies(3) + Diversity()]
    small = FeatureVisualizer(stem, "second", memory_budget=1)
    large = FeatureVisualizer(stem, "second")
    split, whole = (v.visualize(objectives, size=16, n_steps=3) for v in (small, large))
    torch.testing.assert_close(split.images, whole.images, atol=1e-4, rtol=0)


def test_copies_start_from_different_noise(visualizer):
    made = visualizer.visualize(Channel(1).copies(3), size=16, n_steps=1)
    assert not torch.allclose(made.images[0], made.images[1])
    assert made.labels == ["channel 1"] * 3


def test_nothing_is_drawn_from_the_global_generator(visualizer):
    before = torch.get_rng_state()
    visualizer.visualize(Channel(1), size=16, n_steps=2)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("how", ["success", "error", "interrupt"])
def test_the_module_comes_back_as_it_was(how):
    net = seeded(Stem).train()
    net.second.weight.requires_grad_(False)
    before = copy.deepcopy(net.state_dict())

    def callback(step: int, scores: Tensor) -> None:
        if step == 1 and how == "error":
            raise ZeroDivisionError
        if step == 1 and how == "interrupt":
            raise KeyboardInterrupt

    visualizer = FeatureVisualizer(net, "second")
    if how == "error":
        with pytest.raises(ZeroDivisionError):
            visualizer.visualize(Channel(1), size=16, n_steps=3, callback=callback)
    else:
        made = visualizer.visualize(Channel(1), size=16, n_steps=3, callback=callback)
        assert made.interrupted == (how == "interrupt")
    assert net.training
    assert not net.second.weight.requires_grad
    assert net.conv.weight.requires_grad
    assert all(not part._forward_hooks for part in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_ctrl_c_returns_what_is_there(visualizer):
    def stop(step: int, scores: Tensor) -> None:
        if step == 2:
            raise KeyboardInterrupt

    made = visualizer.visualize([Channel(0), Channel(1)], size=16, n_steps=9, callback=stop)
    assert made.interrupted
    assert made.history.shape == (3, 2)
    assert made.images.isfinite().all()


def test_the_callback_sees_each_step(visualizer):
    seen = []
    made = visualizer.visualize(
        [Channel(0), Channel(1)], size=16, n_steps=3, callback=lambda s, x: seen.append((s, x))
    )
    assert [step for step, _ in seen] == [0, 1, 2]
    assert torch.equal(torch.stack([scores for _, scores in seen]), made.history)


def test_snapshots_are_the_pictures_on_the_way(visualizer):
    made = visualizer.visualize(Channel(1), size=16, n_steps=4, snapshots=(2, 4))
    half = visualizer.visualize(Channel(1), size=16, n_steps=2)
    assert sorted(made.snapshots) == [2, 4]
    assert torch.equal(made.snapshots[2], half.images)
    assert torch.equal(made.snapshots[4], made.images)


def test_keep_best_hands_back_the_best(visualizer):
    recipe = {"size": 16, "n_steps": 4, "transforms": "none", "learning_rate": 50.0}
    made = visualizer.visualize(Channel(1), **recipe, keep_best=True)
    assert made.history.argmax() < 3  # such steps overshoot
    torch.testing.assert_close(made.scores[0], made.history.max(), atol=1e-4, rtol=1e-4)


def test_patience_ends_a_run_that_has_settled(visualizer):
    recipe = {"size": 16, "n_steps": 60, "transforms": "none", "patience": 3}
    idle = visualizer.visualize(Channel(1), **recipe, learning_rate=0.0)
    busy = visualizer.visualize(Channel(1), **{**recipe, "n_steps": 12})
    assert len(idle.history) == 6
    assert len(busy.history) == 12


def test_a_schedule_is_stepped(visualizer):
    rates = []

    def schedule(optimizer):
        rates.append(optimizer)
        return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

    visualizer.visualize(Channel(1), size=16, n_steps=3, learning_rate=0.8, schedule=schedule)
    assert rates[0].param_groups[0]["lr"] == pytest.approx(0.1)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", torch.optim.RMSprop])
def test_any_optimizer(visualizer, optimizer):
    made = visualizer.visualize(
        Channel(1), size=16, n_steps=20, transforms="none", optimizer=optimizer
    )
    assert made.history[-1] > made.history[0]


def test_normalised_gradients_make_scale_irrelevant(visualizer):
    recipe = {
        "size": 16,
        "n_steps": 5,
        "optimizer": "sgd",
        "normalize_gradient": True,
        "transforms": "none",
    }
    one = visualizer.visualize(Channel(1), **recipe, learning_rate=1.0)
    many = visualizer.visualize(1000 * Channel(1), **recipe, learning_rate=1.0)
    torch.testing.assert_close(one.images, many.images, atol=1e-5, rtol=0)


def test_transparent_pictures_get_clearer_under_a_price_on_opacity(visualizer):
    made = visualizer.visualize(
        [Channel(1), Channel(1) - 5 * Opacity()], size=16, n_steps=15, alpha=True
    )
    assert made.images.shape == (2, 4, 16, 16)
    assert made.images[1, 3].mean() < made.images[0, 3].mean()


def test_opacity_rises(visualizer):
    made = visualizer.visualize(
        Opacity(), size=16, n_steps=30, alpha=True, transforms="none", parameterization="pixel"
    )
    assert made.history[-1] > made.history[0] + 0.1
    torch.testing.assert_close(made.scores[0], made.images[0, 3].mean())


def test_the_background_can_be_chosen(visualizer):
    made = visualizer.visualize(
        Channel(1), size=16, n_steps=2, alpha=True, transforms=[CollapseAlpha("grey"), Jitter(1)]
    )
    assert made.images.shape == (1, 4, 16, 16)


def test_it_works_without_gradients_around_it(visualizer):
    with torch.inference_mode():
        inside = visualizer.visualize(Channel(1), size=16, n_steps=2)
    outside = visualizer.visualize(Channel(1), size=16, n_steps=2)
    assert torch.equal(inside.images, outside.images)


def test_compiled_parts_give_the_same_pictures(stem, visualizer):
    compiled = FeatureVisualizer(stem, "second", compiler="eager")
    made = [v.visualize(Channel(1), size=16, n_steps=2).images for v in (compiled, visualizer)]
    torch.testing.assert_close(made[0], made[1], atol=1e-5, rtol=0)


def test_a_progress_bar_on_request(visualizer, capsys):
    visualizer.visualize(Channel(1), size=16, n_steps=2)
    assert capsys.readouterr().err == ""
    visualizer.visualize(Channel(1), size=16, n_steps=2, progress=True)
    assert "visualizing: 100%" in capsys.readouterr().err


def test_the_real_network_sees_a_unit_grow(demo: cb.Network):
    normalise = demo.preprocess.normalise
    made = FeatureVisualizer(demo.module, "blocks.4.2.bn1", normalise).visualize(
        [Channel(3), Channel(6)], size=64, n_steps=12
    )
    assert (made.scores > 4 * made.history[0].abs()).all()


# Refusals, all before the first step


def text(message):
    return f"^{re.escape(message)}$"


def test_an_objective_is_an_objective(visualizer):
    message = (
        "an objective is an Objective, not int; "
        "wrap a function of activations with objective(function, name=...)"
    )
    with pytest.raises(WrongType, match=text(message)):
        visualizer.visualize([3])


def test_a_layer_that_is_not_there_is_refused(stem, visualizer):
    with pytest.raises(LayerNotFound, match=r"no layer 'secnd' in Stem; did you mean 'second'\?"):
        FeatureVisualizer(stem, "secnd")
    with pytest.raises(LayerNotFound, match=r"no layer 'akt' in Stem"):
        visualizer.visualize(Channel(0, "akt"), size=16)


def test_a_layer_without_gradient_is_refused():
    class Rounded(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.detach() * 2

    net = nn.Sequential(Rounded())
    message = (
        "no gradient reaches the image from 'channel 0'; "
        "the layer or the objective cuts the graph (detach, no_grad, argmax, ...)"
    )
    with pytest.raises(UnusableLayer, match=text(message)):
        FeatureVisualizer(net, "0").visualize(Channel(0), size=8, n_steps=2)


def test_a_size_the_network_cannot_take_is_refused(visualizer):
    with pytest.raises(UnusableLayer, match=r"^Stem cannot take an image of 15x40 pixels, 3 chan"):
        visualizer.visualize(ClassLogit(0), size=(15, 40))


def test_numbers_that_are_none_name_objective_and_step(visualizer):
    bad = objective(lambda a: a.mean((1, 2, 3)) * torch.nan, name="broken")
    message = (
        "'broken' (image 1) is not a finite number at step 0: score nan; "
        "lower the learning rate or look for a division by zero"
    )
    with pytest.raises(Diverged, match=text(message)):
        visualizer.visualize([Channel(0), bad], size=16, n_steps=2)


@pytest.mark.parametrize("n_steps", [1, 3])
def test_a_picture_spoilt_by_the_last_step_is_no_result(visualizer, n_steps):
    def schedule(optimizer):
        return torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: torch.inf if step == n_steps - 1 else 1.0
        )

    message = (
        f"'channel 1' (image 0) is not a finite picture after step {n_steps - 1}; "
        "lower the learning rate"
    )
    recipe = {"size": 16, "n_steps": n_steps, "optimizer": "sgd", "schedule": schedule}
    with pytest.raises(Diverged, match=text(message)):
        visualizer.visualize([Channel(1), Channel(2)], **recipe)
    kept = visualizer.visualize(Channel(1), **recipe, keep_best=True)
    assert kept.images.isfinite().all()


def test_success_is_silent(visualizer):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        visualizer.visualize(Channel(1), size=16, n_steps=2)


def test_nadam_as_data_is_torch_s_with_those_memories(visualizer):
    def own(parameters, lr):
        return torch.optim.NAdam(parameters, lr=lr, betas=(0.7, 0.95))

    recipe = {"size": 16, "n_steps": 4, "learning_rate": 0.05}
    told, wanted = (
        visualizer.visualize(Channel(1), optimizer=one, **recipe).images
        for one in (NAdam(0.7, 0.95), own)
    )
    assert torch.equal(told, wanted)


def test_a_memory_that_never_forgets_is_refused():
    wanted = "NAdam(0.9, 1): give two numbers from 0 to below 1"
    with pytest.raises(InvalidArgument, match=re.escape(wanted)):
        NAdam(0.9, 1.0)
