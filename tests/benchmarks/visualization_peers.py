"""Feature visualization by this package and by others, behind one call.

A maker takes the demo network, a layer, channels, a side in pixels and a number of steps, and gives
pictures in [0, 1]. Peers are optional installs; ``makers`` says which are missing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor, nn

from captum_blocks.optim import Channel, ClassLogit, FeatureVisualizer, Maco

OUTPUT = "output"
MEAN, DEVIATION = 0.498, 0.502

Maker = Callable[[nn.Module, str, Sequence[int], int, int], Tensor]


def normalise(pixels: Tensor) -> Tensor:
    """Pixels in [0, 1] -> what the EfficientNet-Lite family takes."""
    return (pixels - MEAN) / DEVIATION


def ours(
    module: nn.Module, layer: str, units: Sequence[int], size: int, n_steps: int, **recipe: object
) -> Tensor:
    objectives = [ClassLogit(u) if layer == OUTPUT else Channel(u) for u in units]
    visualizer = FeatureVisualizer(module, layer, normalise)
    return visualizer.visualize(objectives, size=size, n_steps=n_steps, **recipe).images  # type: ignore[arg-type]


def lucent(module: nn.Module, layer: str, units: Sequence[int], size: int, n_steps: int) -> Tensor:
    kornia = importlib.import_module("kornia")
    geometry = importlib.import_module("kornia.geometry.transform")
    # Lucent 0.1.8 looks for these two where kornia no longer has them.
    kornia.get_rotation_matrix2d = geometry.get_rotation_matrix2d
    kornia.warp_affine = geometry.warp_affine
    objectives = importlib.import_module("lucent.optvis.objectives")
    param = importlib.import_module("lucent.optvis.param")
    render = importlib.import_module("lucent.optvis.render")
    transform = importlib.import_module("lucent.optvis.transform")
    name = "labels" if layer == OUTPUT else layer.replace(".", "_")
    wanted = sum(objectives.channel(name, unit, batch=i) for i, unit in enumerate(units))
    (pictures,) = render.render_vis(
        deepcopy(module),  # its hooks are never removed
        wanted,
        lambda: param.image(size, batch=len(units)),
        transforms=[*transform.standard_transforms, normalise],
        preprocess=False,
        thresholds=(n_steps,),
        progress=False,
        show_image=False,
    )
    return torch.tensor(pictures).permute(0, 3, 1, 2)


def horama(
    module: nn.Module,
    layer: str,
    units: Sequence[int],
    size: int,
    n_steps: int,
) -> Tensor:
    package = importlib.import_module("horama.fourier_fv")
    package.tqdm = lambda steps: steps
    watched = module if layer == OUTPUT else module.get_submodule(layer)
    seen: list[Tensor] = []
    handle = watched.register_forward_hook(lambda m, i, o: seen.append(o))

    def objective(unit: int, images: Tensor) -> Tensor:
        seen.clear()
        module(images)
        return seen[0][:, unit].mean()

    try:
        made = [
            package.fourier(
                partial(objective, unit),
                total_steps=n_steps,
                image_size=size,
                model_input_size=224,
                values_range=(-MEAN / DEVIATION, (1 - MEAN) / DEVIATION),
                device="cpu",
            )[0]
            for unit in units
        ]
    finally:
        handle.remove()
    return torch.stack(made).detach() * DEVIATION + MEAN


def dreamlens(
    module: nn.Module, layer: str, units: Sequence[int], size: int, n_steps: int
) -> Tensor:
    package = importlib.import_module("dreamlens.feature_visualizer")
    configs = importlib.import_module("dreamlens.optimization")
    targets = importlib.import_module("dreamlens.objectives")
    network = deepcopy(module)
    watched = network if layer == OUTPUT else network.get_submodule(layer)
    visualizer = package.FeatureVisualizer(network, quiet=True, preprocess=normalise)
    config = configs.RenderConfig(width=size, height=size, steps=n_steps)
    images = [
        visualizer.maximize(targets.FeatureTarget(watched, channel=unit), config).image
        for unit in units
    ]
    with torch.no_grad():
        made = [package.call_image_parameter(image, torch.device("cpu")) for image in images]
    return torch.cat([image.reshape(1, 3, size, size) for image in made]).detach()


def makers() -> tuple[dict[str, Maker], list[str]]:
    """The makers that can run here, and the names of those that are not installed."""
    found: dict[str, Maker] = {
        "ours": ours,
        "ours, MACO": partial(ours, parameterization=Maco()),
    }
    missing = []
    for name, maker in {"lucent": lucent, "horama": horama, "dreamlens": dreamlens}.items():
        try:
            importlib.import_module(name)
            found[name] = maker
        except ImportError:
            missing.append(name)
    return found, missing
