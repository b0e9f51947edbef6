from __future__ import annotations

import re
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

import captum_blocks as cb
from captum_blocks.errors import InvalidArgument, UnknownName, WeightsUnavailable, WrongType
from captum_blocks.zoo import demo_photo, load_network
from captum_blocks.zoo.checkpoints import read_weights


def test_the_demo_network_knows_a_cat(demo: cb.Network) -> None:
    predictions = demo.predict(demo.read(demo_photo()), top=3)
    assert {label for _, label, _ in predictions} == {"Egyptian cat", "tabby", "tiger cat"}
    assert len(demo.labels or ()) == 1000


def test_the_demo_network_recommends_layers_that_add_up(demo: cb.Network) -> None:
    chosen = [info for info in demo.layers() if info.recommended]
    assert [info.name for info in chosen] == ["blocks.5.0.bn1", "bn2"]
    assert [info.sign for info in chosen] == [">= 0", ">= 0"]
    assert [info.carries_all for info in chosen] == [True, True]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dmo", "no network 'dmo'; did you mean 'demo'?"),
        ("x", "no network 'x'; there are demo, torchvision:NAME, timm:NAME"),
        ("demo:x", "no network 'demo:x'"),
        (
            "torchvision:resnet19",
            "torchvision has no network 'resnet19'; did you mean 'resnet18' or",
        ),
        ("torchvision:resnet18:V3", "resnet18 has no weights 'V3'"),
        ("timm:resnet19", "timm has no network 'resnet19'; did you mean"),
        ("timm:resnet18:V3", "resnet18 has no weights 'V3': timm names them in the network's own"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(UnknownName) as caught:
        load_network(name)
    assert str(caught.value).startswith(message)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on a machine without a network and without a cache."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))


@pytest.mark.usefixtures("offline")
def test_weights_that_cannot_be_fetched() -> None:
    with pytest.raises(WeightsUnavailable) as caught:
        load_network("torchvision:resnet18")
    said = str(caught.value)
    assert "https://download.pytorch.org/models/resnet18-f37072fd.pth" in said
    assert "load_network('torchvision:resnet18:FILE')" in said


def small_build(classes: int | None = None) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(classes or 7)
        return models.squeezenet1_1(num_classes=classes or 1000)


def saved(tmp_path: Path, content: object, name: str = "my.pt") -> str:
    torch.save(content, tmp_path / name)
    return str(tmp_path / name)


@pytest.mark.parametrize("nested", ["plain", "state_dict", "model", "both"])
def test_a_checkpoint_however_it_was_written(tmp_path: Path, nested: str) -> None:
    trained = small_build()
    state = {f"module.{name}": tensor for name, tensor in trained.state_dict().items()}
    content = {
        "plain": trained.state_dict(),
        "state_dict": {"epoch": 3, "state_dict": state},
        "model": {"model": trained.state_dict(), "optimizer": {"lr": 0.1}},
        "both": {"model": {"state_dict": state}, "best": 0.5},
    }[nested]
    net = load_network(f"torchvision:squeezenet1_1:{saved(tmp_path, content)}")
    for name, tensor in net.module.state_dict().items():
        assert torch.equal(tensor, trained.state_dict()[name])
    assert not net.module.training
    assert net.label(207) == "golden retriever"
    assert net.source == f"{tmp_path / 'my.pt'}, for torchvision's squeezenet1_1"


def test_a_checkpoint_of_other_classes_builds_the_network_for_them(tmp_path: Path) -> None:
    trained = small_build(4)
    net = load_network(f"torchvision:squeezenet1_1:{saved(tmp_path, trained.state_dict())}")
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(net.logits(x), trained.eval()(x))
    assert net.labels is None


def test_safetensors_into_timm(tmp_path: Path) -> None:
    trained = timm.create_model("resnet10t", num_classes=5)
    path = tmp_path / "my.safetensors"
    save_file(trained.state_dict(), path)
    net = load_network(f"timm:resnet10t:{path}")
    assert torch.equal(net.module.fc.weight, trained.fc.weight)
    assert net.preprocess is not None
    path.write_bytes(b"not safetensors")
    with pytest.raises(WeightsUnavailable, match="is damaged or no safetensors file"):
        load_network(f"timm:resnet10t:{path}")


def test_a_checkpoint_that_does_not_fit_says_where(tmp_path: Path) -> None:
    state = small_build().state_dict()
    state["extra.weight"] = torch.zeros(2)
    del state["features.0.bias"]
    state["features.3.squeeze.weight"] = torch.zeros(16, 63, 1, 1)
    path = saved(tmp_path, state)
    with pytest.raises(InvalidArgument) as caught:
        load_network(f"torchvision:squeezenet1_1:{path}")
    assert str(caught.value) == (
        f"{path} does not fit squeezenet1_1: "
        "1 of 52 names of the network are not in the file (features.0.bias); "
        "1 of 52 names of the file are not in the network (extra.weight); "
        "1 of 52 tensors have another shape "
        "(features.3.squeeze.weight (16, 63, 1, 1) for (16, 64, 1, 1))"
    )


class Trap:
    def __reduce__(self) -> tuple:
        return (exec, ("import captum_blocks; captum_blocks.trapped = True",))


def test_nothing_in_a_checkpoint_is_run(tmp_path: Path) -> None:
    path = saved(tmp_path, {"state_dict": Trap()})
    with pytest.raises(InvalidArgument, match="holds more than weights, and loading that could"):
        load_network(f"torchvision:squeezenet1_1:{path}")
    assert not hasattr(cb, "trapped")


@pytest.mark.parametrize("version", ["2.3.0", "2.5.1", "2.6.0+cu124", "2.9.1", "2.10.0a0+git"])
def test_with_a_torch_of_known_holes_only_safetensors_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    state = small_build().state_dict()
    pickled, safe = saved(tmp_path, state), tmp_path / "my.safetensors"
    save_file(state, safe)
    monkeypatch.setattr(torch, "__version__", version)
    message = re.escape(f"{pickled} is not read with torch {version}: before 2.10 ")
    with pytest.raises(WeightsUnavailable, match=f"^{message}.*save the weights as safetensors$"):
        read_weights(pickled)
    assert all(torch.equal(tensor, state[name]) for name, tensor in read_weights(safe).items())


@pytest.mark.parametrize("version", ["2.10.0", "2.10.0+cpu", "2.14.1+cu130", "3.0.0"])
def test_with_a_later_torch_pickled_files_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    path = saved(tmp_path, {"weight": torch.ones(2)})
    monkeypatch.setattr(torch, "__version__", version)
    assert torch.equal(read_weights(path)["weight"], torch.ones(2))


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ({"epoch": 3}, InvalidArgument, "holds no weights by name but a dict with epoch"),
        ([torch.ones(1)], InvalidArgument, "holds no weights by name but list"),
        (None, WeightsUnavailable, "is damaged or no file of torch.save"),
    ],
)
def test_files_that_hold_no_weights(
    tmp_path: Path, content: object, error: type[Exception], message: str
) -> None:
    path = saved(tmp_path, content)
    if content is None:
        Path(path).write_bytes(b"PK no archive")
    with pytest.raises(error, match=message):
        load_network(f"torchvision:squeezenet1_1:{path}")
    with pytest.raises(WeightsUnavailable, match=r"no such file of weights: .*gone\.pt"):
        load_network(f"torchvision:squeezenet1_1:{tmp_path / 'gone.pt'}")


def test_random_weights_are_the_same_every_time_and_said() -> None:
    before = torch.random.get_rng_state()
    one, two = (load_network("torchvision:squeezenet1_1:none") for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, tensor in one.module.state_dict().items():
        assert torch.equal(tensor, two.module.state_dict()[name])
    assert "random weights, seed 0" in repr(one)
    assert load_network("timm:resnet10t:none").source == one.source


BUILDER = """
from torch import nn
from captum_blocks import Network, Preprocess

def build(rest):
    if rest == "broken":
        raise RuntimeError("no such model here")
    if rest == "bare":
        return nn.ReLU()
    return Network(nn.Conv2d(3, 2, 1), Preprocess(size=4), name=f"lab {rest}")
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution that registers a family of networks, installed as pip would."""
    (tmp_path / "lab_networks.py").write_text(BUILDER)
    info = tmp_path / "lab_networks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-networks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[captum_blocks.networks]\nlab = lab_networks:build\ngone = lab_networks:nothing\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("lab")
def test_a_family_registered_by_another_package() -> None:
    assert load_network("lab:unet").name == "lab unet"
    assert load_network("lab").name == "lab "
    with pytest.raises(InvalidArgument, match=r"lab-networks.*could not build 'broken': RuntimeE"):
        load_network("lab:broken")
    with pytest.raises(WrongType, match="which gave a ReLU, not a Network"):
        load_network("lab:bare")
    with pytest.raises(InvalidArgument, match="registers 'gone' as lab_networks:nothing"):
        load_network("gone:x")
    with pytest.raises(UnknownName, match="timm:NAME, gone, lab"):
        load_network("zzz:x")
