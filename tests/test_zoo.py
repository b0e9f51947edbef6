from __future__ import annotations

import pytest
import torch

import captum_blocks as cb
from captum_blocks.errors import UnknownName, WeightsUnavailable
from captum_blocks.zoo import demo_photo, load_network


def test_the_demo_network_knows_a_cat(demo: cb.Network) -> None:
    predictions = demo.predict(demo.read(demo_photo()), top=3)
    assert {label for _, label, _ in predictions} == {"Egyptian cat", "tabby", "tiger cat"}
    assert len(demo.labels or ()) == 1000


def test_the_demo_network_recommends_layers_that_add_up(demo: cb.Network) -> None:
    signs = {info.name: info.sign for info in demo.layers()}
    assert [signs[name] for name in demo.recommended()] == [">= 0", ">= 0"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dmo", "no network 'dmo'; did you mean 'demo'?"),
        ("x", "no network 'x'; there are demo, torchvision:NAME, timm:NAME"),
        (
            "torchvision:resnet19",
            "torchvision has no network 'resnet19'; did you mean 'resnet18' or",
        ),
        ("torchvision:resnet18:V3", "resnet18 has no weights 'V3'"),
        ("timm:resnet19", "timm has no network 'resnet19'; did you mean"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(UnknownName) as caught:
        load_network(name)
    assert str(caught.value).startswith(message)


def test_weights_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(WeightsUnavailable, match=r"resnet18-f37072fd.pth are not on this machine"):
        load_network("torchvision:resnet18")
