"""A private, frozen copy of a network up to the layers one looks at, made fast.

Nothing behind the deepest layer runs, no weight asks for a gradient, convolutions swallow the
batch-norms behind them, and tensors are laid out channels last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from hashlib import sha256
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from captum_blocks.errors import UnusableLayer
from captum_blocks.hooks import find_layer, run_until
from captum_blocks.layouts import Kind, Layout, resolve
from captum_blocks.optim.images import Canvas

Preprocess = Callable[[Tensor], Tensor]
FOLDING_TOLERANCE = 1e-3


class Trunk:
    """A network up to some of its layers, from pixels in [0, 1] to maps.

    Args:
        module: the network; it is copied and never changed.
        layers: names of the layers to look at.
        example: pixels (1, channel, y, x) of a size the network can take.
        preprocess: pixels in [0, 1] -> what the module takes.
        layouts: layer layouts by name; found from the shapes where none is given.

    Attributes:
        shapes: (channel, y, x) of each layer's maps for the example.

    Raises:
        UnusableLayer: the network cannot take the example, or never calls a layer.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    >>> trunk = Trunk(net, ["2"], torch.zeros(1, 3, 8, 8))
    >>> trunk(torch.zeros(2, 3, 8, 8))["2"].shape
    torch.Size([2, 4, 6, 6])
    """

    def __init__(
        self,
        module: nn.Module,
        layers: Sequence[str],
        example: Tensor,
        preprocess: Preprocess | None = None,
        layouts: Mapping[str, Layout | Kind] | None = None,
    ) -> None:
        self._preprocess = preprocess or (lambda pixels: pixels)
        self._names = tuple(layers)
        self._network = deepcopy(module).eval().requires_grad_(False)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._find()
        with torch.no_grad():
            outputs = self._run_example(example)
            self._layouts = {
                name: resolve((layouts or {}).get(name), output.shape)
                for name, output in outputs.items()
            }
            self._fold(example, outputs)
        self.shapes = {
            name: tuple(self._layouts[name].to_maps(output).shape[1:])
            for name, output in outputs.items()
        }

    def __call__(self, pixels: Tensor) -> dict[str, Tensor]:
        """Pixels (n, channel, y, x) in [0, 1] -> maps (n, channel, y, x) by layer name."""
        outputs = self._outputs(pixels)
        return {name: self._layouts[name].to_maps(output) for name, output in outputs.items()}

    def bytes_per_image(self, canvas: Canvas) -> int:
        """What a forward pass keeps for its backward pass, for one image of this size."""
        kept: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        pixels = torch.zeros(1, canvas.channels, canvas.height, canvas.width, device=canvas.device)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            self._outputs(pixels.requires_grad_())
        weights = {tensor.data_ptr() for tensor in self._network.parameters()}
        return sum(size for pointer, size in kept.items() if pointer not in weights)

    def _outputs(self, pixels: Tensor) -> dict[str, Tensor]:
        ready = self._preprocess(pixels).contiguous(memory_format=torch.channels_last)
        return run_until(self._network, self._layers, ready)

    def _find(self) -> None:
        self._layers = {name: find_layer(self._network, name)[1] for name in self._names}

    def _run_example(self, example: Tensor) -> dict[str, Tensor]:
        try:
            return self._outputs(example)
        except (RuntimeError, ValueError, AssertionError) as error:
            if isinstance(error, UnusableLayer):
                raise
            height, width = example.shape[2:]
            raise UnusableLayer(
                f"{type(self._network).__name__} cannot take an image of {height}x{width} pixels "
                f"({error}); give the size it was trained with"
            ) from error

    def _fold(self, example: Tensor, expected: Mapping[str, Tensor]) -> None:
        """Fold batch-norms into convolutions, and take it back where that changes an output."""
        original, self._network = self._network, deepcopy(self._network)
        self._find()
        kept = set(self._layers.values())
        for parent in list(self._network.modules()):
            for conv_name, norm_name in _foldable(parent, kept):
                conv, norm = getattr(parent, conv_name), getattr(parent, norm_name)
                setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, norm_name, _without_normalisation(norm))
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._find()
        folded = self._outputs(example)
        if not all(_close(folded[name], expected[name]) for name in expected):
            self._network = original
            self._find()


def fingerprint(module: nn.Module) -> str:
    """A hash of a module's structure, weights and buffers."""
    digest = sha256(repr(module).encode())
    state = [*module.named_parameters(), *module.named_buffers()]
    for name, tensor in state:
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _foldable(parent: nn.Module, kept: set[nn.Module]) -> list[tuple[str, str]]:
    """Names of children that are a convolution and, registered next, its batch-norm."""
    children = list(parent.named_children())
    return [
        (name, next_name)
        for (name, child), (next_name, following) in pairwise(children)
        if isinstance(child, nn.Conv2d)
        and isinstance(following, nn.BatchNorm2d)
        and following.num_features == child.out_channels
        and following.track_running_stats
        and child not in kept
        and (type(following) is nn.BatchNorm2d or _has_activation(following))
    ]


def _has_activation(norm: nn.Module) -> bool:
    """Whether a batch-norm is timm's, which drops and activates what it has normalised."""
    return isinstance(getattr(norm, "act", None), nn.Module) and hasattr(norm, "drop")


def _without_normalisation(norm: nn.Module) -> nn.Module:
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    return nn.Sequential(norm.drop, norm.act)  # type: ignore[arg-type]


def _close(found: Tensor, expected: Tensor) -> bool:
    scale = expected.abs().max().clamp_min(1e-6)
    return bool((found - expected).abs().max() <= FOLDING_TOLERANCE * scale)
