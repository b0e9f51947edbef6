"""Captum's own ResNet tutorial (integrated gradients), continued in three lines into a page."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from captum.attr import IntegratedGradients, LayerIntegratedGradients
from PIL import Image
from torch.nn import functional
from torchvision import transforms
from torchvision.models import resnet18

import captum_blocks as cb
from captum_blocks.compose.pictures import quality
from tests.conftest import FEW_STEPS


def test_the_resnet_workflow_goes_on_into_a_page(
    photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTUM_BLOCKS_CACHE_DIR", str(tmp_path / "icons"))
    monkeypatch.setitem(quality.QUALITIES, "standard", FEW_STEPS)  # type: ignore[arg-type]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = resnet18(weights=None).eval()
    normalise = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    crop = transforms.Compose([transforms.Resize(112), transforms.CenterCrop(96)])
    prepare = transforms.Compose([crop, transforms.ToTensor(), normalise])
    x = prepare(Image.open(photo_file)).unsqueeze(0)
    _, best = torch.topk(functional.softmax(model(x), dim=1), 1)
    pixels = IntegratedGradients(model).attribute(x, target=best.squeeze(), n_steps=4)
    assert pixels.shape == x.shape

    ig = LayerIntegratedGradients(model, model.layer4)
    ui = cb.neuron_groups("layer4", n=3, classes=cb.Out(int(best)), method=cb.Given("ig"))
    ex = cb.explain(ui, model, x, given={"ig": ig}, progress=False)
    page = ex.save(tmp_path / "why.html").read_text()

    assert "not explained by the groups" in page
    shown = next(value for content, value in ex.values.items() if value.target is not None)
    whole = ig.attribute(x, target=int(best)).sum()
    torch.testing.assert_close(shown.total.sum(), whole.detach().float(), rtol=1e-4, atol=1e-5)
