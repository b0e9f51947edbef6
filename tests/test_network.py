from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms._presets import ImageClassification

import captum_blocks as cb
from captum_blocks.errors import InvalidArgument, UnusableLayer, WrongType
from captum_blocks.preprocessing import FromTransforms


def test_reading_is_resize_and_normalisation(small: cb.Network, noise_picture: np.ndarray) -> None:
    x = small.read(noise_picture)
    resized = Image.fromarray(noise_picture).resize((16, 16), Image.Resampling.BICUBIC)
    expected = (np.asarray(resized) / 255 - 0.5) / 0.5
    np.testing.assert_allclose(x[0].permute(1, 2, 0), expected, atol=1e-6)


def test_a_crop_knows_what_it_saw() -> None:
    crop = cb.Preprocess(size=224, fit="crop", resize=256)
    top, left, bottom, right = crop.extent((512, 256))
    assert (top, bottom) == (0.0625, 0.9375)
    assert (left, right) == (0.28125, 0.71875)
    corner = np.zeros((256, 512, 3), np.uint8)
    corner[:16] = 255  # exactly what the crop leaves away at the top
    assert float(crop(Image.fromarray(corner))[0, :, 2:].max()) < 0


def test_a_large_crop_stays_inside_the_photograph() -> None:
    extent = cb.Preprocess(size=64, fit="crop", resize=32).extent((40, 40))
    assert extent == (0.0, 0.0, 1.0, 1.0)


def test_torchvision_transforms_are_understood(noise_picture: np.ndarray) -> None:
    transforms = ImageClassification(crop_size=24, resize_size=32)
    wrapped = FromTransforms(transforms)
    pixels = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    mean = torch.tensor(transforms.mean)[:, None, None]
    std = torch.tensor(transforms.std)[:, None, None]
    torch.testing.assert_close(wrapped.normalise(pixels), (pixels - mean) / std)
    assert wrapped.extent((320, 320)) == (0.125, 0.125, 0.875, 0.875)
    net = cb.Network(nn.Conv2d(3, 2, 1), transforms)
    assert net.read(noise_picture).shape == (1, 3, 24, 24)


def test_transforms_that_give_no_float_tensor() -> None:
    with pytest.raises(WrongType, match="the preprocessing gives ndarray, not a float tensor"):
        cb.Network(nn.ReLU(), np.asarray)


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (3, 2, 1), (2, 2, 4)])
def test_tiny_grey_and_transparent_pictures_work(small: cb.Network, shape: tuple[int, ...]) -> None:
    assert small.read(np.full(shape, 128, np.uint8)).shape == (1, 3, 16, 16)


def test_ready_tensors(small: cb.Network, small_x: torch.Tensor) -> None:
    assert small.read(small_x) is small_x
    with pytest.raises(InvalidArgument, match=r"a torch.uint8 tensor is not ready"):
        small.read(torch.zeros(1, 3, 16, 16, dtype=torch.uint8))
    with pytest.raises(InvalidArgument, match=r"a single image needs its batch axis: x\[None\]"):
        small.read(small_x[0])


def test_no_preprocessing_no_reading(small_module: nn.Module, photo_file: Path) -> None:
    with pytest.raises(InvalidArgument, match="SmallNet has no preprocessing"):
        cb.Network(small_module).read(photo_file)


def test_predict_is_softmax_in_evaluation_mode(small: cb.Network, small_x: torch.Tensor) -> None:
    expected = small.module(small_x)[0].softmax(0)
    predictions = small.predict(small_x, top=10)
    assert len(predictions) == 3
    for index, label, probability in predictions:
        assert label == ["cat", "dog", "pig"][index]
        assert probability == pytest.approx(expected[index].item())
    with pytest.raises(InvalidArgument, match="predict takes one image, not a batch of 2"):
        small.predict(small_x.repeat(2, 1, 1, 1))


def test_labels(small: cb.Network, small_module: nn.Module) -> None:
    assert cb.Network(small_module).label(2) == "class 2"
    assert small.class_index("Dog", 3) == 1
    assert small.class_index("2", 3) == 2
    with pytest.raises(InvalidArgument, match="no class 'dgo' in SmallNet; did you mean 'dog'"):
        small.class_index("dgo", 3)
    with pytest.raises(InvalidArgument, match="no class 3: SmallNet has classes 0 to 2"):
        small.class_index(3, 3)
    twins = cb.Network(small_module, labels=["crane", "crane", "x"])
    with pytest.raises(InvalidArgument, match=r"ambiguous: it names \[0, 1\]"):
        twins.class_index("crane", 3)


def test_layers_print_as_a_table(small: cb.Network) -> None:
    assert repr(small.layers()) == "\n".join(
        [
            "layer    shape   layout  sign    module",
            "early.0  6x8x8   NCHW    signed  Conv2d",
            "early.1  6x8x8   NCHW    >= 0    ReLU",
            "early    6x8x8   NCHW    >= 0    Sequential",
            "late.0   10x4x4  NCHW    signed  Conv2d",
            "late.1   10x4x4  NCHW    >= 0    ReLU",
            "late     10x4x4  NCHW    >= 0    Sequential",
            "head     3       NCHW    signed  Linear",
        ]
    )
    assert small.recommended() == ("early", "late")


def test_layers_without_a_size(small_module: nn.Module, small_x: torch.Tensor) -> None:
    net = cb.Network(small_module)
    with pytest.raises(InvalidArgument, match=r"give layers\(\) an input"):
        net.layers()
    assert len(net.layers(small_x)) == 7


def test_activations_in_batches(small: cb.Network, small_x: torch.Tensor) -> None:
    photos = [small_x * scale for scale in (1.0, 0.5, 0.25)]
    found = list(small.activations("late", photos, batch_size=2))
    assert [len(batch) for batch in found] == [2, 1]
    expected = small.module.late(small.module.early(torch.cat(photos)))
    torch.testing.assert_close(torch.cat(found), expected)


def test_a_network_that_returns_no_scores(small_x: torch.Tensor) -> None:
    with pytest.raises(UnusableLayer, match=r"not \(image, class\)"):
        cb.Network(nn.Conv2d(3, 2, 1)).logits(small_x)


def test_not_a_module() -> None:
    with pytest.raises(WrongType, match="a network is an nn.Module, not function"):
        cb.Network(lambda x: x)  # type: ignore[arg-type]
