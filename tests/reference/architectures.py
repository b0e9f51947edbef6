"""Networks of every build, with random weights and small inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import timm
import torch
from timm.models.mlp_mixer import MlpMixer
from torch import nn
from torch.nn import functional
from torchvision import models


class Case(NamedTuple):
    """How to build a network, its input size, the layouts of its layers, its colour channels."""

    build: Callable[[], nn.Module]
    size: int
    layouts: set[str]
    channels: int = 3


def small_vit() -> nn.Module:
    shape = {"num_heads": 4, "hidden_dim": 64, "mlp_dim": 128}
    return models.VisionTransformer(64, 16, num_layers=3, num_classes=10, **shape)


class FunctionalRelu(nn.Module):
    """No module stands for its nonlinearity."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3, 2), nn.Conv2d(6, 8, 3, 2)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(functional.relu(self.b(functional.relu(self.a(x)))).mean((2, 3)))


class ReusedBlock(nn.Module):
    """One block runs twice, its ReLU in place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, 2)
        self.block = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(inplace=True))
        self.last = nn.Sequential(nn.Conv2d(6, 5, 3, 2), nn.ReLU())
        self.head = nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.last(self.block(self.block(self.stem(x)))).mean((2, 3)))


class Pyramid(nn.Module):
    """Returns two maps by name, as backbones do."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 6, 3, 2, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        low = self.low(x).relu()
        return {"low": low, "high": self.high(low).relu()}


class DictOutput(nn.Module):
    """Maps and scores are in dicts, as detection and Hugging Face models return them."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = Pyramid(), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        maps = self.backbone(x)
        return {"features": maps["high"], "logits": self.head(maps["high"].mean((2, 3)))}


def single_channel() -> nn.Module:
    body = [nn.Conv2d(1, 6, 3, 2), nn.ReLU(), nn.Conv2d(6, 8, 3, 2), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)]
    return nn.Sequential(nn.Sequential(*body), *head)


def googlenet() -> nn.Module:
    return models.googlenet(weights=None, init_weights=False, aux_logits=False)


def vgg11() -> nn.Module:
    """A quarter as wide, with a head that fits: torchvision's own has 120 million weights."""
    widths = [w if isinstance(w, str) else w // 4 for w in models.vgg.cfgs["A"]]
    net = models.VGG(models.vgg.make_layers(widths), init_weights=False)
    net.classifier = nn.Sequential(nn.Linear(128 * 49, 32), nn.ReLU(), nn.Linear(32, 10))
    return net


def swin_t() -> nn.Module:
    """A third as wide, with one pair of blocks a stage: one of a pair has shifted windows."""
    return models.SwinTransformer([4, 4], 32, [2] * 4, [1, 2, 4, 8], [7, 7], num_classes=10)


def convnext_tiny() -> nn.Module:
    """A third as wide, with one block a stage."""
    widths = [32, 64, 128, 256]
    stages = [
        models.convnext.CNBlockConfig(*wide, 1)
        for wide in zip(widths, [*widths[1:], None], strict=True)
    ]
    return models.ConvNeXt(stages, num_classes=10)


def densenet121() -> nn.Module:
    """With a third of its layers."""
    return models.DenseNet(16, (3, 4, 8, 4), 32, num_classes=10)


def mixer() -> nn.Module:
    """With two of its eight blocks, and a quarter as wide."""
    return MlpMixer(img_size=64, patch_size=32, num_blocks=2, embed_dim=128, num_classes=10)


def small(name: str, **parameters: int) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, **parameters)


CASES = {
    "googlenet": Case(googlenet, 96, {"NCHW"}),
    "resnet18": Case(models.resnet18, 64, {"NCHW"}),
    "mobilenet_v3_small": Case(models.mobilenet_v3_small, 64, {"NCHW"}),
    "densenet121": Case(densenet121, 64, {"NCHW"}),
    "convnext_tiny": Case(convnext_tiny, 64, {"NCHW"}),
    "efficientnet_b0": Case(models.efficientnet_b0, 64, {"NCHW"}),
    "vgg11": Case(vgg11, 64, {"NCHW"}),
    "squeezenet1_1": Case(models.squeezenet1_1, 96, {"NCHW"}),
    "vit_b_16": Case(small_vit, 64, {"tokens"}),
    "swin_t": Case(swin_t, 64, {"NHWC"}),
    "vit_tiny": Case(small("vit_tiny_patch16_224", img_size=64, depth=3), 64, {"tokens"}),
    "deit_distilled": Case(
        small("deit_tiny_distilled_patch16_224", img_size=64, depth=3), 64, {"tokens"}
    ),
    "vit_registers": Case(
        small("vit_small_patch14_reg4_dinov2", img_size=56, depth=2, num_classes=10),
        56,
        {"tokens"},
    ),
    "mixer": Case(mixer, 64, {"tokens"}),
    "regnet": Case(small("regnetx_002"), 64, {"NCHW"}),
    "functional_relu": Case(FunctionalRelu, 32, {"NCHW"}),
    "reused_block": Case(ReusedBlock, 32, {"NCHW"}),
    "dict_output": Case(DictOutput, 32, {"NCHW"}),
    "single_channel": Case(single_channel, 28, {"NCHW"}, channels=1),
}


def made(case: Case) -> nn.Module:
    """The network in evaluation mode, its random weights the same every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = case.build().eval()
        for part in network.modules():
            # Some heads begin at zero: their scores would depend on nothing.
            if isinstance(part, nn.Linear) and not part.weight.any():
                nn.init.normal_(part.weight, std=0.1)
        return network
