"""Networks of every build, with random weights and small inputs: from layers to a whole page."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional
from torchvision import models

import captum_blocks as cb
from captum_blocks.compose import Quality
from captum_blocks.errors import UnusableLayer
from captum_blocks.store import Store

ROUGH = Quality(size=32, n_steps=2, budget=4)


class Case(NamedTuple):
    build: Callable[[], nn.Module]
    size: int
    layouts: set[str]


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


class DictOutput(FunctionalRelu):
    """The scores are in a dict, as detection and Hugging Face models return them."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:  # type: ignore[override]
        return {"logits": super().forward(x)}


CASES = {
    "googlenet": Case(
        lambda: models.googlenet(weights=None, init_weights=False, aux_logits=False), 96, {"NCHW"}
    ),
    "resnet18": Case(models.resnet18, 64, {"NCHW"}),
    "mobilenet_v3_small": Case(models.mobilenet_v3_small, 64, {"NCHW"}),
    "densenet121": Case(models.densenet121, 64, {"NCHW"}),
    "convnext_tiny": Case(models.convnext_tiny, 64, {"NCHW"}),
    "efficientnet_b0": Case(models.efficientnet_b0, 64, {"NCHW"}),
    "vgg11": Case(models.vgg11, 64, {"NCHW"}),
    "squeezenet1_1": Case(models.squeezenet1_1, 96, {"NCHW"}),
    "vit_b_16": Case(small_vit, 64, {"tokens"}),
    "swin_t": Case(models.swin_t, 64, {"NHWC", "NCHW"}),
    "vit_tiny": Case(
        lambda: timm.create_model("vit_tiny_patch16_224", img_size=64, depth=3), 64, {"tokens"}
    ),
    "deit_distilled": Case(
        lambda: timm.create_model("deit_tiny_distilled_patch16_224", img_size=64, depth=3),
        64,
        {"tokens"},
    ),
    "vit_registers": Case(
        lambda: timm.create_model(
            "vit_small_patch14_reg4_dinov2", img_size=56, depth=2, num_classes=10
        ),
        56,
        {"tokens"},
    ),
    "mixer": Case(lambda: timm.create_model("mixer_s32_224", img_size=64), 64, {"tokens"}),
    "regnet": Case(lambda: timm.create_model("regnetx_002"), 64, {"NCHW"}),
    "functional_relu": Case(FunctionalRelu, 32, {"NCHW"}),
    "reused_block": Case(ReusedBlock, 32, {"NCHW"}),
}


def made(case: Case) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return case.build().eval()


@pytest.mark.parametrize("name", CASES)
def test_from_layers_to_a_page(name: str, store: Store) -> None:
    case = CASES[name]
    module = made(case)
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    net = cb.Network(module, cb.Preprocess(size=case.size))
    x = torch.randn(1, 3, case.size, case.size, generator=torch.Generator().manual_seed(0))
    layers = net.recommended()
    layouts = {info.layout.kind for info in net.layers() if info.name in layers}
    assert layouts <= case.layouts

    interface = cb.report(*layers, groups=2) & cb.spatial_attribution(layers[-1])
    ex = cb.explain(interface, net, x, quality=ROUGH, progress=False, store=store)
    for content, value in ex.values.items():
        if isinstance(content, cb.Attribution) and content.source.atom == "group":
            whole = cb.evaluate(cb.Attribution(content.source.layer.whole, content.target), net, x)
            torch.testing.assert_close(value.total, whole.total, atol=1e-4, rtol=1e-4)
    assert len(ex.scene.sprites) == 4
    assert sum(len(part._forward_hooks) for part in module.modules()) == 0
    for key, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[key])


def test_a_class_token_is_a_remainder_and_never_a_place() -> None:
    module = made(CASES["vit_tiny"])
    net = cb.Network(module, cb.Preprocess(size=64))
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    last = cb.evaluate(cb.Attribution(cb.Hidden("norm").spatial, cb.Out(3)), net, x)
    assert last.data.shape == (1, 1, 4, 4)
    assert float(last.data.abs().max()) == 0
    assert float(last.remainder["tokens"].abs().sum()) > 1e-4
    tokens = cb.evaluate(cb.Activation(cb.Hidden("norm").tokens), net, x)
    assert tokens.axes == ("image", "token")
    assert net.recommended() == ("blocks.1",)


def test_one_channel_pictures(store: Store) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = nn.Sequential(nn.Conv2d(1, 6, 3, 2), nn.ReLU(), nn.Conv2d(6, 8, 3, 2), nn.ReLU())
        module = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)).eval()
    net = cb.Network(module, cb.Preprocess(size=28, mean=(0.5,), std=(0.5,)))
    ex = cb.explain(
        cb.report("0.1", "0.3", groups=2),
        net,
        torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0)),
        quality=ROUGH,
        progress=False,
        store=store,
    )
    assert ex.scene.sprites


def test_scores_in_a_dict() -> None:
    module = made(Case(DictOutput, 32, set()))
    net = cb.Network(module, cb.Preprocess(size=32))
    assert len(net.predict(torch.zeros(1, 3, 32, 32))) == 4


def test_a_layer_that_is_never_called_is_refused() -> None:
    module = nn.Module()
    module.a, module.unused = nn.Conv2d(3, 2, 3), nn.ReLU()
    module.forward = lambda x: module.a(x).mean((2, 3))  # type: ignore[method-assign]
    content = cb.Activation(cb.Hidden("unused").channels)
    with pytest.raises(UnusableLayer, match="'unused'"):
        cb.evaluate(content, cb.Network(module), torch.zeros(1, 3, 8, 8))
