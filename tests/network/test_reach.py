"""Receptive fields and strides, against what gradients say."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn
from torchvision import models

import captum_blocks as cb
from tests.reference.reach import measured

KNOWN = {
    # Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks", 2019
    ("vgg11", "features"): (150, 32),
    ("resnet18", "layer4"): (435, 32),
    ("resnet18", "layer1.0.conv2"): (27, 4),
}


@pytest.mark.parametrize(("name", "layer"), KNOWN)
def test_published_receptive_fields(name: str, layer: str) -> None:
    features = {"vgg11": models.vgg.make_layers(models.vgg.cfgs["A"])}
    module = models.resnet18() if name == "resnet18" else nn.ModuleDict({"features": None})
    if name == "vgg11":
        module = nn.Sequential()
        module.features = features["vgg11"]
    table = cb.Network(module).layers(torch.zeros(1, 3, 64, 64))
    info = next(info for info in table if info.name == layer)
    field, stride = KNOWN[name, layer]
    assert (info.field, info.stride) == ((field, field), (stride, stride))


class Mixed(nn.Module):
    """Windows of every kind: dilated, uneven, strided, pooled, channels last, branches."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, (3, 5), (1, 2), padding=(1, 2))
        self.wide = nn.Conv2d(4, 4, 3, padding=2, dilation=2)
        self.pool = nn.AvgPool2d(2)
        self.norm = nn.LayerNorm(4)
        self.mlp = nn.Linear(4, 4)
        self.join = nn.Identity()
        self.last = nn.Conv2d(8, 4, 3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stem = self.stem(x)
        a = self.pool(self.wide(stem))
        b = self.pool(stem).permute(0, 2, 3, 1)
        b = self.mlp(self.norm(b)).permute(0, 3, 1, 2)
        return self.last(torch.cat([a, b], 1)).mean((2, 3))


@pytest.mark.parametrize("layer", ["stem", "wide", "pool", "mlp", "last"])
def test_fields_and_strides_are_what_gradients_say(layer: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Mixed().eval()
    net = cb.Network(module, layouts={"mlp": cb.Layout("NHWC")})
    info = next(i for i in net.layers(torch.zeros(1, 3, 40, 48)) if i.name == layer)
    if layer == "pool":  # it runs twice; its last call follows the stem
        assert info.calls == 2
    assert (info.field, info.stride) == measured(module, layer, info.layout, (3, 40, 48))


def test_nothing_is_claimed_behind_what_mixes_positions() -> None:
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1, num_classes=2)
    table = cb.Network(vit, cb.Preprocess(32)).layers()
    found = {info.name: info.field for info in table}
    assert found["patch_embed.proj"] == (16, 16)
    assert found["blocks.0"] is None
    mixer = cb.Network(timm.create_model("mixer_s32_224", img_size=64), cb.Preprocess(64))
    assert all(info.field is None for info in mixer.layers() if info.layout.kind == "tokens")
    swin = cb.Network(models.swin_t(), cb.Preprocess(64)).layers()
    fields = {info.name: info.field for info in swin}
    assert fields["features.0"] == (4, 4)
    assert fields["features.1"] is None


def test_gates_made_from_the_whole_picture_are_marked() -> None:
    net = cb.Network(models.mobilenet_v3_small(), cb.Preprocess(64))
    table = net.layers()
    first = next(info for info in table if info.name == "features.1")
    assert first.field == (7, 7)
    assert first.reach is not None
    assert first.reach.gated
    assert "7+ " in repr(table)
    assert "+: what it sees is scaled by numbers made from the whole picture" in repr(table)
