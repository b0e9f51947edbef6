"""What a picture cannot be made of is refused in words, before the first step."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from captum_blocks.errors import InvalidArgument, UnusableLayer, WrongType
from captum_blocks.optim import Channel, Directions, Opacity, Pad

VECTOR = (0.5, -1.0, 0.25, 2.0, 0.1)


def text(message):
    return f"^{re.escape(message)}$"


REFUSED = [
    (Channel(5), {}, "channel 5 of layer 'second': it has 5, so 0 to 4"),
    ([], {}, "no objectives given; give at least one, e.g. [Channel(0)]"),
    (Channel(0), {"n_steps": 0}, "n_steps is 0; a picture needs at least 1 step"),
    (Channel(0), {"size": 0}, "size is 0; give a positive number of pixels"),
    (Channel(0), {"patience": 0}, "patience is 0; give at least 1 step"),
    (Channel(0), {"optimizer": "lbfgs"}, "optimizer 'lbfgs' is none of adam, nadam, sgd"),
    (
        Channel(0),
        {"parameterization": "fft"},
        "parameterization 'fft' is none of fourier, pixel, laplacian, cppn, shared, maco",
    ),
    (Channel(0), {"channels": 0}, "channels is 0; a picture has at least 1"),
    (Channel(0), {"learning_rate": -0.1}, "learning_rate is -0.1; give at least 0"),
    (Channel(0), {"learning_rate": torch.nan}, "learning_rate is nan; give at least 0"),
    (
        Channel(0),
        {"photo": torch.full((3, 8, 8), 200.0)},
        "photo has values from 200 to 200; "
        "give the picture in [0, 1], as it is before preprocessing",
    ),
    (
        Channel(0),
        {"photo": torch.full((3, 8, 8), torch.nan)},
        "photo has values from nan to nan; "
        "give the picture in [0, 1], as it is before preprocessing",
    ),
    (Opacity(), {}, "'opacity' is of pictures with an alpha channel: give alpha=True"),
    (
        Channel(0) - Opacity(),
        {},
        "'opacity' is of pictures with an alpha channel: give alpha=True",
    ),
    (Channel(3, "input"), {}, "channel 3 of layer 'input': it has 3, so 0 to 2"),
    (
        Directions([VECTOR, [0.0] * 5]),
        {},
        "direction 1 of '2 directions' is zero and points nowhere",
    ),
    (Channel(0), {"n_steps": 4, "snapshots": (2, 9)}, "a snapshot after step 9 of 4; give 1 to 4"),
    (Channel(0), {"snapshots": [0]}, "a snapshot after step 0 of 256; give 1 to 256"),
    (
        Channel(0),
        {"optimizer": torch.optim.LBFGS},
        "LBFGS asks for the score several times a step, and each picture is seen once; "
        "give another optimizer, e.g. adam, nadam, sgd",
    ),
    (
        Channel(0),
        {"transforms": Pad(-8)},
        "Pad(-8) leaves nothing of a picture of 16x16 pixels; cut off less",
    ),
]

WRONG = [
    ({"size": "16"}, "size is '16'; give a whole number of pixels, or (height, width)"),
    ({"size": 16.0}, "size is 16.0; give a whole number of pixels, or (height, width)"),
    (
        {"size": (16, 16, 3)},
        "size is (16, 16, 3); give a whole number of pixels, or (height, width)",
    ),
    ({"n_steps": 2.5}, "n_steps is 2.5; give a whole number"),
    ({"seed": 1.5}, "seed is 1.5; give a whole number"),
    ({"patience": "3"}, "patience is '3'; give a whole number"),
    ({"snapshots": 2}, "snapshots is 2; give numbers of steps, e.g. snapshots=(16,)"),
    ({"snapshots": (1.5,)}, "a snapshot is 1.5; give a whole number"),
    (
        {"photo": np.zeros((3, 8, 8))},
        "photo is of type ndarray; give a tensor (channel, y, x) in [0, 1]",
    ),
    (
        {"photo": torch.zeros(3, 8, 8, dtype=torch.uint8)},
        "photo is of type torch.uint8; give numbers in [0, 1], e.g. photo / 255",
    ),
]


@pytest.mark.parametrize(("objectives", "recipe", "message"), REFUSED)
def test_bad_arguments_are_refused(visualizer, objectives, recipe, message):
    steps = []
    with pytest.raises(InvalidArgument, match=text(message)):
        visualizer.visualize(
            objectives, **{"size": 16, **recipe}, callback=lambda s, x: steps.append(s)
        )
    assert steps == []


@pytest.mark.parametrize(("recipe", "message"), WRONG)
def test_arguments_of_another_type_are_refused(visualizer, recipe, message):
    steps = []
    with pytest.raises(WrongType, match=text(message)):
        visualizer.visualize(
            Channel(0), **{"size": 16, **recipe}, callback=lambda s, x: steps.append(s)
        )
    assert steps == []


def test_padding_is_whole():
    with pytest.raises(WrongType, match=text("Pad(1.5): give a whole number of pixels")):
        Pad(1.5)


def test_whole_numbers_of_other_libraries_are_numbers(visualizer):
    recipe = {"size": (16, 16), "n_steps": 2, "seed": 3}
    same = {"size": [np.int64(16), 16], "n_steps": np.int64(2), "seed": torch.tensor(3)}
    made = [visualizer.visualize(Channel(1), **one, snapshots={1}) for one in (recipe, same)]
    assert torch.equal(made[0].images, made[1].images)
    assert visualizer.key(Channel(1), **recipe) == visualizer.key(Channel(1), **same)


def test_channels_the_network_does_not_take_are_named(visualizer):
    message = (
        r"^Stem cannot take an image of 16x16 pixels, 1 channel \(.*\); "
        "give the size and the channels it was trained with$"
    )
    with pytest.raises(UnusableLayer, match=message):
        visualizer.visualize(Channel(0), size=16, channels=1)


def test_rounding_of_a_photo_is_forgiven(visualizer):
    photo = torch.tensor([-1e-5, 0.5, 1 + 1e-5])[:, None, None].expand(3, 16, 16)
    assert visualizer.visualize(Channel(0), size=16, n_steps=1, photo=photo).images.isfinite().all()


def test_the_alpha_channel_is_one_of_the_pictures_own(visualizer):
    made = visualizer.visualize(Channel(3, "input"), size=16, n_steps=2, alpha=True)
    torch.testing.assert_close(made.scores[0], made.images[0, 3].mean())


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("rate", "left"), [(1e-9, 0.125), (0.05, 1.0)])
def test_a_plateau_lowers_the_learning_rate_and_a_rise_does_not(visualizer, mode, rate, left):
    groups = []

    def schedule(optimizer):
        groups.extend(optimizer.param_groups)
        return torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode, 0.5, patience=0, threshold_mode="abs", eps=0
        )

    visualizer.visualize(
        Channel(1), size=16, n_steps=4, transforms="none", learning_rate=rate, schedule=schedule
    )
    assert groups[0]["lr"] / rate == pytest.approx(left)
