from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn

import captum_blocks as cb
from captum_blocks.errors import InvalidArgument, LayerNotFound, UnusableLayer, WrongType
from captum_blocks.store import Store


def test_reading_is_resize_and_normalisation(small: cb.Network, noise_picture: np.ndarray) -> None:
    x = small.read(noise_picture)
    resized = Image.fromarray(noise_picture).resize((16, 16), Image.Resampling.BICUBIC)
    expected = (np.asarray(resized) / 255 - 0.5) / 0.5
    np.testing.assert_allclose(x[0].permute(1, 2, 0), expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (3, 2, 1), (2, 2, 4)])
def test_tiny_grey_and_transparent_pictures_work(small: cb.Network, shape: tuple[int, ...]) -> None:
    assert small.read(np.full(shape, 128, np.uint8)).shape == (1, 3, 16, 16)


def test_ready_tensors(small: cb.Network, small_x: torch.Tensor) -> None:
    assert small.read(small_x) is small_x
    with pytest.raises(InvalidArgument, match=r"a torch.uint8 tensor is not ready"):
        small.read(torch.zeros(1, 3, 16, 16, dtype=torch.uint8))
    with pytest.raises(InvalidArgument, match=r"a single image needs its batch axis: x\[None\]"):
        small.read(small_x[0])


def test_a_picture_as_floats_is_warned_about(
    small: cb.Network, small_module: nn.Module, recwarn: pytest.WarningsRecorder
) -> None:
    picture = torch.arange(16.0 * 16).expand(1, 3, -1).reshape(1, 3, 16, 16)
    for quiet in (picture / 255, picture - 128, picture * 3):
        small.read(quiet)
    cb.Network(small_module).read(picture)  # it may take them so
    assert not recwarn
    with pytest.warns(UserWarning, match="whole numbers up to 255, as a picture does before"):
        small.read(picture)


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
            "   layer    shape   layout  places  sign    stride  sees  module",
            "   early.0  6x8x8   NCHW    tested  signed  2       3     Conv2d",
            "   early.1  6x8x8   NCHW    tested  >= 0    2       3     ReLU",
            "*  early    6x8x8   NCHW    tested  >= 0    2       3     Sequential",
            "   late.0   10x4x4  NCHW    tested  signed  4       7     Conv2d",
            "   late.1   10x4x4  NCHW    tested  >= 0    4       7     ReLU",
            "*  late     10x4x4  NCHW    tested  >= 0    4       7     Sequential",
            "   head     3       NCHW            signed                Linear",
            "",
            "*: looked at when no layers are named",
            "tested: pictures showed where its places are",
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
    with pytest.raises(UnusableLayer) as caught:
        cb.Network(nn.Conv2d(3, 2, 1)).logits(small_x)
    assert str(caught.value) == (
        "Conv2d returns a tensor of shape (1, 2, 16, 16), not (image, class); of a map of scores, "
        "say which region counts: Network(module, region=(top, left, bottom, right)), "
        "(0, 0, 1, 1) for all of it"
    )


def test_not_a_module() -> None:
    with pytest.raises(WrongType, match="a network is an nn.Module, not function"):
        cb.Network(lambda x: x)  # type: ignore[arg-type]


class Stages(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.second = nn.ModuleDict({"conv": nn.Conv2d(4, 4, 3), "act": nn.ReLU()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second["act"](self.second["conv"](self.first(x))).mean((2, 3))


def test_a_layer_by_the_end_of_its_name(small: cb.Network, small_x: torch.Tensor) -> None:
    net = cb.Network(Stages().eval(), cb.Preprocess(size=16))
    assert net.name_of("conv") == "second.conv"
    assert net.name_of(net.module.first[1]) == "first.1"
    short, full = (
        cb.evaluate(cb.Attribution(cb.Hidden(name).groups(2), cb.Out(0)), net, small_x)
        for name in ("act", "second.act")
    )
    assert torch.equal(short.data, full.data)
    both = cb.evaluate(
        cb.Attribution(cb.Hidden("1").spatial, cb.Hidden("act").spatial), net, small_x
    )
    assert both.data.shape == (1, 12, 12, 14, 14)
    assert cb.FeatureVisualizer(net.module, "act").layer == "second.act"
    assert small.name_of("late.0") == "late.0"
    with pytest.raises(LayerNotFound) as caught:
        small.name_of("0")
    assert str(caught.value) == ("layer '0' is ambiguous in SmallNet: 'early.0', 'late.0' end so")
    with pytest.raises(LayerNotFound, match="no layer 'lat' in SmallNet; did you mean 'late'"):
        small.name_of("lat")


def test_declared_layouts_and_their_refusal() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix, self.head = nn.Linear(3, 5), nn.Linear(5, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows = self.mix(x.flatten(2).transpose(1, 2)[:, :11])
            return self.head(rows.mean(1))

    x = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    good = cb.Network(
        Tokens(), cb.Preprocess(size=4), layouts={"mix": cb.Layout("tokens", 1, (2, 5))}
    )
    assert cb.evaluate(cb.Activation(cb.Hidden("mix").spatial), good, x).data.shape == (1, 2, 5)
    assert next(info for info in good.layers() if info.name == "mix").grid == (2, 5)
    bad = cb.Network(
        Tokens(), cb.Preprocess(size=4), layouts={"mix": cb.Layout("tokens", 1, (3, 5))}
    )
    expected = (
        r"layouts: 'mix' is declared Layout\(kind='tokens', prefix=1, grid=\(3, 5\)\), and its "
        r"output has shape \(\d, 11, 5\) for a picture of 4 x 4 pixels; that layout needs "
        r"\(image, 1 \+ 3 \* 5 = 16 tokens, channel\)"
    )
    with pytest.raises(InvalidArgument, match=expected):
        bad.layers()
    with pytest.raises(InvalidArgument, match=expected):
        cb.evaluate(cb.Activation(cb.Hidden("mix").spatial), bad, x)
    with pytest.raises(LayerNotFound, match="no layer 'mux' in Tokens; did you mean 'mix'"):
        cb.Network(Tokens(), layouts={"mux": cb.Layout()})
    nhwc = cb.Network(Tokens(), cb.Preprocess(size=4), layouts={"mix": cb.Layout("NHWC")})
    with pytest.raises(InvalidArgument, match=r"that layout needs \(image, y, x, channel\)"):
        nhwc.layers()


def test_transformers_of_pictures_that_are_not_square() -> None:
    vit = timm.create_model("vit_tiny_patch16_224", img_size=(32, 64), depth=2, num_classes=3)
    net = cb.Network(vit.eval(), cb.Preprocess((32, 64)))
    info = next(info for info in net.layers() if info.name == "blocks.0")
    assert info.layout == cb.Layout("tokens", 1, (2, 4))
    x = torch.randn(1, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    value = cb.evaluate(cb.Attribution(cb.Hidden("blocks.0").spatial, cb.Out(1)), net, x)
    assert value.data.shape == (1, 1, 2, 4)
    assert net.layout_at("blocks.0", (3, 32, 64)) == info.layout
    assert net.layout_at("blocks.0", (3, 32, 32)) is None


def test_a_module_that_runs_several_times_is_listed_so() -> None:
    relu = nn.ReLU()
    net = cb.Network(nn.Sequential(nn.Conv2d(3, 4, 3), relu, nn.Conv2d(4, 4, 3), relu))
    table = net.layers(torch.zeros(1, 3, 9, 9))
    runs = {info.name: info.calls for info in table}
    assert runs == {"0": 1, "1": 2, "2": 1}
    assert "ReLU, runs 2 times" in repr(table)


def test_pictures_of_many_bands() -> None:
    bands = np.random.default_rng(0).integers(0, 256, (6, 8, 5), dtype=np.uint8)
    mean, std = (0.1, 0.2, 0.3, 0.4, 0.5), (0.5,) * 5
    module = nn.Sequential(nn.Conv2d(5, 2, 1))
    net = cb.Network(module, cb.Preprocess((6, 8), mean, std), name="bands")
    expected = (bands / 255 - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(net.read(bands)[0].permute(1, 2, 0), expected, atol=1e-6)
    assert np.array_equal(np.asarray(net.picture(bands)), bands[:, :, :3])
    assert net.layers()[0].shape == (2, 6, 8)
    with pytest.raises(InvalidArgument) as caught:
        net.read(bands[:, :, :3])
    assert str(caught.value) == (
        "bands takes 5 channels; give a uint8 array (height, width, 5), or a ready tensor"
    )


def test_grey_pictures_become_one_channel(noise_picture: np.ndarray) -> None:
    net = cb.Network(nn.Conv2d(1, 2, 1), cb.Preprocess((20, 30), (0.0,), (1.0,)))
    grey = np.asarray(Image.fromarray(noise_picture).convert("L")) / 255
    np.testing.assert_allclose(net.read(noise_picture)[0, 0], grey, atol=1e-6)


def test_a_letterboxed_photograph_is_shown_with_its_bars(
    small_module: nn.Module, noise_picture: np.ndarray, store: Store
) -> None:
    stats = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    net = cb.Network(small_module, cb.Preprocess(16, fit="letterbox", **stats))
    page = cb.InfoVis(cb.Activation(cb.Hidden("late").spatial), mark="overlay")
    ex = cb.explain(page, net, noise_picture, progress=False, store=store)
    height, width = ex.scene.photo.pixels.shape[:2]
    assert abs(height - width) <= width / 16
    assert ex.scene.photo.seen == (0.0, 0.0, 1.0, 1.0)
    bars = round(height * 3 / 16)  # 11 of 16 rows hold the photograph
    assert np.ptp(ex.scene.photo.pixels[: bars // 2].astype(int)) == 0
    assert "between the grey bars" in dict(ex.scene.footer)["photograph"]


def test_labels_are_for_every_output() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 6)).eval()
    few = cb.Network(module, labels=["only"])
    with pytest.raises(InvalidArgument, match="1 labels for the 6 outputs of Sequential: give one"):
        few.predict(torch.zeros(1, 3, 2, 2))
    odd = cb.Network(module, labels=[f"\udce9{i}" for i in range(6)])
    assert odd.label(2) == "?2"
