"""Which networks there are by name, and how each family builds one."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import torch
from torch import nn

from captum_blocks.errors import (
    BlocksError,
    InvalidArgument,
    UnknownName,
    WeightsUnavailable,
    WrongType,
    did_you_mean,
)
from captum_blocks.network import Network
from captum_blocks.preprocessing import Preprocess
from captum_blocks.zoo.checkpoints import fill, is_file
from captum_blocks.zoo.demo import demo_network, imagenet_labels, require

GROUP = "captum_blocks.networks"
RANDOM = "random weights, seed 0: what it shows was not learned"
Family = Callable[[str], Network]


def load_network(name: str) -> Network:
    """A network with its weights, preprocessing and class names.

    A file of weights holds tensors by name, as ``torch.save(model.state_dict(), "my.pt")`` or
    safetensors write them; nothing else in it is loaded. Where its last layer has another number of
    classes than the architecture, the network is built for that.

    Args:
        name: one of

            - ``"demo"``: EfficientNet-Lite0, real ImageNet weights, offline;
            - ``"torchvision:resnet50"``: the best weights torchvision has, downloaded by it on
              first use, ``"torchvision:resnet50:IMAGENET1K_V1"`` others;
            - ``"timm:vit_small_patch16_224"``: likewise by timm;
            - ``"torchvision:resnet50:runs/my.pt"``, ``"timm:vit_tiny_patch16_224:my.safetensors"``:
              the architecture with the weights of a file;
            - ``"torchvision:resnet50:none"``, ``"timm:resnet50:none"``: random weights;
            - ``"FAMILY:REST"``: what an installed package registers under the entry point group
              ``captum_blocks.networks``: a function from the rest of the name to a ``Network``.

    Raises:
        UnknownName: no such network, with the nearest names.
        MissingDependency: the library it comes from is not installed, with the line that does.
        WeightsUnavailable: the weights are not on this machine and cannot be fetched.
        InvalidArgument: the weights of a file do not fit; which ones is said.

    >>> load_network("demo").label(207)
    'golden retriever'
    """
    family, _, rest = name.partition(":")
    if family == "demo" and not rest:
        return demo_network()
    if family in FAMILIES and rest:
        return FAMILIES[family](rest)
    registered = {point.name: point for point in entry_points(group=GROUP)}
    if family in registered:
        return _registered(registered[family], rest)
    known = ["demo", *(f"{family}:NAME" for family in FAMILIES), *sorted(registered)]
    hint = did_you_mean(name, ["demo", *registered]) or f"; there are {', '.join(known)}"
    raise UnknownName(f"no network {name!r}{hint}")


def _registered(point: EntryPoint, rest: str) -> Network:
    """What a package of somebody else builds."""
    owner = getattr(point.dist, "name", "an installed package")
    try:
        made = point.load()(rest)
    except BlocksError:
        raise
    except Exception as error:
        raise InvalidArgument(
            f"{owner}, which registers {point.name!r} as {point.value}, could not build "
            f"{rest!r}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(made, Network):
        raise WrongType(
            f"{owner} registers {point.name!r} as {point.value}, which gave a "
            f"{type(made).__name__}, not a Network"
        )
    return made


def _torchvision(rest: str) -> Network:
    from torchvision import models

    name, _, version = rest.partition(":")
    known = models.list_models(module=models)
    if name not in known:
        raise UnknownName(f"torchvision has no network {name!r}{did_you_mean(name, known)}")

    def build(classes: int | None = None) -> nn.Module:
        return _seeded(models.get_model, name, **_classes(classes), **AS_TRAINED.get(name, {}))

    own = version in ("", "none") or is_file(version)
    weights = _torchvision_weights(name, "" if own else version)
    labels = weights.meta["categories"]
    if version == "none":
        module, source = build(), RANDOM
    elif is_file(version):
        module, classes = fill(build, version, name)
        source = f"{version}, for torchvision's {name}"
        labels = labels if classes is None else None
    else:
        url = f"torchvision's {weights} ({weights.url})"
        fetch = f"torchvision:{name}:FILE"
        module = _fetched(lambda: models.get_model(name, weights=weights), url, fetch)
        source = f"torchvision {weights}"
    return Network(module.eval(), weights.transforms(), labels, name=name, source=source)


def _torchvision_weights(name: str, version: str) -> Any:
    from torchvision import models

    choices = models.get_model_weights(name)
    if not version:
        return choices.DEFAULT  # type: ignore[attr-defined]
    if version not in choices.__members__:
        there = f"it has {', '.join(choices.__members__)}, none, or a file that ends in .pt"
        hint = did_you_mean(version, choices.__members__) or f"; {there}"
        raise UnknownName(f"{name} has no weights {version!r}{hint}")
    return choices[version]


def _timm(rest: str) -> Network:
    require("timm", "timm")
    import timm

    name, _, version = rest.partition(":")
    if not timm.is_model(name):
        hint = did_you_mean(name, timm.list_models())
        raise UnknownName(f"timm has no network {name!r}{hint}")

    def build(classes: int | None = None) -> nn.Module:
        return _seeded(timm.create_model, name, pretrained=False, **_classes(classes))

    if version == "none":
        module, source = build(), RANDOM
    elif is_file(version):
        module, _ = fill(build, version, name)
        source = f"{version}, for timm's {name}"
    elif version:
        raise UnknownName(
            f"{name} has no weights {version!r}: timm names them in the network's own name, as in "
            "'vit_base_patch16_224.dino'; else none, or a file that ends in .pt"
        )
    else:
        what, fetch = f"timm's {name} ({_timm_address(name)})", f"timm:{name}:FILE"
        module = _fetched(lambda: timm.create_model(name, pretrained=True), what, fetch)
        source = f"timm {name}"
    config = timm.data.resolve_model_data_config(module)
    size = config["input_size"][1:]
    resize = round(min(size) / config["crop_pct"])
    preprocess = Preprocess(size, config["mean"], config["std"], fit="crop", resize=resize)
    labels = imagenet_labels() if module.num_classes == 1000 else None
    return Network(module.eval(), preprocess, labels, name=name, source=source)


def _timm_address(name: str) -> str:
    """Where timm would fetch weights from."""
    import timm

    config = timm.get_pretrained_cfg(name)
    if config is None:
        return "it has none"
    if config.hf_hub_id:
        return f"https://huggingface.co/{config.hf_hub_id}"
    return config.url or "it has none"


def _classes(classes: int | None) -> dict[str, int]:
    return {} if classes is None else {"num_classes": classes}


def _seeded(build: Callable[..., nn.Module], *arguments: Any, **named: Any) -> nn.Module:
    """A network whose random weights are the same every time, the caller's generator untouched."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(*arguments, **named)


def _fetched(build: Callable[[], nn.Module], what: str, instead: str) -> nn.Module:
    """``build()``, its failed download said in words."""
    try:
        return build()
    except (OSError, RuntimeError) as error:
        raise WeightsUnavailable(
            f"the weights {what} are not on this machine and could not be fetched "
            f"({type(error).__name__}); fetch them elsewhere and give the file, as in "
            f"load_network({instead!r}), or build the module yourself: Network(module, ...)"
        ) from error


# torchvision builds these otherwise when it fetches their weights itself.
AS_TRAINED: dict[str, dict[str, bool]] = {
    "googlenet": {"transform_input": True, "init_weights": False},
    "inception_v3": {"transform_input": True, "init_weights": False},
}
FAMILIES: dict[str, Family] = {"torchvision": _torchvision, "timm": _timm}
