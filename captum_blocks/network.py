"""A network and what it needs to be spoken about: preprocessing, labels, its layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn

from captum_blocks._pictures import Source, open_picture
from captum_blocks.errors import InvalidArgument, UnusableLayer, WrongType, did_you_mean
from captum_blocks.hooks import capture, evaluation_mode, find_layer, first_tensor
from captum_blocks.layouts import Layout, detect
from captum_blocks.preprocessing import FromTransforms, Preprocess


class Prediction(NamedTuple):
    """One class a network considers: (index, label, probability)."""

    index: int  # type: ignore[assignment]
    label: str
    probability: float


@dataclass(frozen=True)
class LayerInfo:
    """What can be looked at in a layer.

    Attributes:
        name: dotted name.
        shape: of its output, without the batch axis.
        layout: where the output keeps its channels and positions.
        sign: ">= 0" or "signed", as seen in the dry run.
        kind: class of the module.
    """

    name: str
    shape: tuple[int, ...]
    layout: Layout
    sign: str
    kind: str

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of positions."""
        if self.layout.kind == "tokens":
            assert self.layout.grid is not None
            return self.layout.grid
        if len(self.shape) == 1:
            return (1, 1)
        return self.shape[:2] if self.layout.kind == "NHWC" else self.shape[1:]  # type: ignore[return-value]

    @property
    def channels(self) -> int:
        """How many channels."""
        return self.shape[0 if self.layout.kind == "NCHW" else -1]


class LayerTable(tuple[LayerInfo, ...]):
    """The layers of a network; prints as a table."""

    def __repr__(self) -> str:
        rows = [("layer", "shape", "layout", "sign", "module")]
        rows += [
            (info.name, "x".join(map(str, info.shape)), info.layout.kind, info.sign, info.kind)
            for info in self
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
        return "\n".join(lines)


class Network:
    """A vision module with its preprocessing, labels and name.

    Args:
        module: the network; never modified.
        preprocess: a ``Preprocess``, a torchvision transform (``weights.transforms()``), or None
            for a module that is only given ready tensors.
        labels: class names by index; None shows "class 207".
        name: what to call it.
        layouts: layouts of layers that cannot be guessed, by dotted name.
        source: where the weights come from, for the page's footer.
        recommend: layers to look at when none are named, early to late; guessed unless given.

    >>> net = Network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), Preprocess(size=8))
    >>> net.layers()
    layer  shape  layout  sign    module
    0      4x6x6  NCHW    signed  Conv2d
    1      4x6x6  NCHW    >= 0    ReLU
    """

    def __init__(
        self,
        module: nn.Module,
        preprocess: Preprocess | Callable[[Any], Tensor] | None = None,
        labels: Sequence[str] | None = None,
        name: str | None = None,
        layouts: dict[str, Layout] | None = None,
        source: str = "",
        recommend: Sequence[str] = (),
    ) -> None:
        if not isinstance(module, nn.Module):
            raise WrongType(f"a network is an nn.Module, not {type(module).__name__}")
        self.module = module
        if preprocess is None or isinstance(preprocess, Preprocess):
            self.preprocess: Preprocess | FromTransforms | None = preprocess
        else:
            self.preprocess = FromTransforms(preprocess)
        self.labels = None if labels is None else tuple(labels)
        self.name = name or type(module).__name__
        self.layouts = dict(layouts or {})
        self.source = source
        self._recommended = tuple(recommend)
        self._takes: dict[tuple[int, ...], bool] = {}

    def picture(self, source: Source) -> Image.Image:
        """The photograph, upright RGB, as the reader gave it."""
        return open_picture(source)

    def read(self, source: Source | Tensor) -> Tensor:
        """A photograph, or a ready float tensor -> (image, channel, y, x) for the module.

        Raises:
            UnreadableImage: the file cannot be read as a picture.
            InvalidArgument: a tensor that is not ready, or no preprocessing to make one with.
        """
        if isinstance(source, Tensor):
            return _ready(source).to(self._device)
        if self.preprocess is None:
            raise InvalidArgument(
                f"{self.name} has no preprocessing, so it cannot read a photograph; give it a "
                "ready tensor, or Network(module, preprocess=Preprocess(size, mean, std))"
            )
        return self.preprocess(open_picture(source)).to(self._device)

    def logits(self, x: Tensor) -> Tensor:
        """(image, class) in evaluation mode, without gradient."""
        with torch.no_grad(), evaluation_mode(self.module):
            return self.as_logits(self.module(x))

    def as_logits(self, output: Any) -> Tensor:
        """What the module returned as (image, class)."""
        logits = first_tensor(output, "the network itself")
        if logits.ndim != 2:
            raise UnusableLayer(
                f"{self.name} returns a tensor of shape {tuple(logits.shape)}, not (image, class)"
            )
        return logits

    def predict(self, x: Tensor, top: int = 5) -> list[Prediction]:
        """The most probable classes of one ready image: [(index, label, probability), ...]."""
        if len(x) != 1:
            raise InvalidArgument(f"predict takes one image, not a batch of {len(x)}")
        return self.ranked(self.logits(x)[0], top)

    def ranked(self, logits: Tensor, top: int) -> list[Prediction]:
        """The most probable of (class,) logits."""
        probabilities = logits.float().softmax(-1)
        values, indices = probabilities.topk(min(top, len(logits)))
        return [
            Prediction(index, self.label(index), value)
            for index, value in zip(indices.tolist(), values.tolist(), strict=True)
        ]

    def label(self, index: int) -> str:
        """The name of a class; "class 207" where no name is known."""
        if self.labels is not None and index < len(self.labels):
            return self.labels[index]
        return f"class {index}"

    def class_index(self, wanted: int | str, n_classes: int) -> int:
        """The index of a class given by index or name.

        Raises:
            InvalidArgument: out of range, unknown (with the nearest names), or ambiguous.
        """
        if isinstance(wanted, str) and not wanted.lstrip("-").isdigit():
            return self._index_of_label(wanted)
        index = int(wanted)
        if not 0 <= index < n_classes:
            raise InvalidArgument(f"no class {index}: {self.name} has classes 0 to {n_classes - 1}")
        return index

    def _index_of_label(self, wanted: str) -> int:
        labels = self.labels or ()
        found = [i for i, label in enumerate(labels) if label.casefold() == wanted.casefold()]
        if len(found) > 1:
            raise InvalidArgument(f"class {wanted!r} is ambiguous: it names {found}; use an index")
        if not found:
            near = did_you_mean(wanted, labels) if labels else "; it has no labels, use an index"
            raise InvalidArgument(f"no class {wanted!r} in {self.name}{near}")
        return found[0]

    def name_of(self, layer: nn.Module | str) -> str:
        """The dotted name of a submodule."""
        return find_layer(self.module, layer)[0]

    def layout_of(self, name: str, output: Tensor) -> Layout:
        """The layout of a layer: as declared, or as its output suggests."""
        return self.layouts.get(name) or detect(tuple(output.shape))

    def layers(self, x: Tensor | None = None) -> LayerTable:
        """What can be looked at, from one dry run on two noise images.

        Args:
            x: a ready tensor whose size to use; the preprocessing's size unless given.
        """
        noise = self._noise(x)
        modules = {name: module for name, module in self.module.named_modules() if name}
        table = []
        with torch.no_grad(), evaluation_mode(self.module), capture(modules, lenient=True) as seen:
            self.module(noise)
        for name, output in seen.items():
            info = self._describe(name, modules[name], output, len(noise))
            if info is not None:
                table.append(info)
        return LayerTable(table)

    def recommended(self, x: Tensor | None = None) -> tuple[str, ...]:
        """Two layers to look at when none are named: one for a dictionary, the last for groups.

        Non-negative layers where there are any in the later half: groups are parts that add up
        there. One layer for a transformer with a class token, before its last block: behind it
        everything that decides may sit in that token, which has no place in the photograph.
        """
        if self._recommended:
            return self._recommended
        table = [info for info in self.layers(x) if min(info.grid) > 1]
        later = table[len(table) // 2 :]
        candidates = table
        if any(info.sign == ">= 0" for info in later):
            candidates = [info for info in table if info.sign == ">= 0"]
        if not candidates:
            raise UnusableLayer(f"{self.name} has no layer with positions to look at")
        if candidates[-1].layout.prefix:
            return (_before_the_tokens_took_over(candidates).name,)
        last = candidates[-1]
        finer = [info for info in candidates if info.grid >= tuple(2 * n for n in last.grid)]
        return (finer[-1].name, last.name) if finer else (last.name,)

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether the module can take images of this (channel, height, width).

        Transformers usually take one size only.
        """
        if shape not in self._takes:
            try:
                self.logits(torch.zeros(1, *shape, dtype=self._dtype, device=self._device))
            except (RuntimeError, ValueError, AssertionError, IndexError):
                self._takes[shape] = False
            else:
                self._takes[shape] = True
        return self._takes[shape]

    def activations(
        self, layer: str | nn.Module, photos: Iterable[Source | Tensor], batch_size: int = 32
    ) -> Iterator[Tensor]:
        """Activations of many photographs, (batch, channel, y, x) at a time, tokens left out."""
        name, module = find_layer(self.module, layer)
        batch: list[Tensor] = []
        for photo in photos:
            batch.append(self.read(photo))
            if len(batch) == batch_size:
                yield self._maps(name, module, torch.cat(batch))
                batch = []
        if batch:
            yield self._maps(name, module, torch.cat(batch))

    def _maps(self, name: str, module: nn.Module, x: Tensor) -> Tensor:
        with torch.no_grad(), evaluation_mode(self.module), capture({name: module}) as seen:
            self.module(x)
        return self.layout_of(name, seen[name]).to_maps(seen[name])

    def _describe(
        self, name: str, module: nn.Module, output: Tensor, batch: int
    ) -> LayerInfo | None:
        """None for what nobody looks at: no batch axis, no channels, attention heads."""
        if isinstance(module, (nn.Identity, nn.modules.dropout._DropoutNd)):
            return None
        if output.shape[:1] != (batch,) or not output.is_floating_point():
            return None
        heads = output.ndim == 4 and isinstance(module, nn.LayerNorm)
        if heads and output.shape[1] != output.shape[2]:
            return None
        try:
            layout = self.layout_of(name, output)
        except InvalidArgument:
            return None
        sign = ">= 0" if bool((output >= 0).all()) else "signed"
        return LayerInfo(name, tuple(output.shape[1:]), layout, sign, type(module).__name__)

    def _noise(self, x: Tensor | None) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        if x is not None:
            shape = tuple(x.shape[1:])
        elif self.preprocess is not None:
            channels = self.preprocess.normalise(torch.zeros(3, 1, 1)).shape[0]
            shape = (channels, *self.preprocess.shape)
        else:
            raise InvalidArgument(f"{self.name} has no preprocessing: give layers() an input")
        return torch.randn(2, *shape, generator=generator).to(self._device, self._dtype)

    @property
    def _dtype(self) -> torch.dtype:
        return next((p.dtype for p in self.module.parameters()), torch.float32)

    @property
    def _device(self) -> torch.device:
        return next((p.device for p in self.module.parameters()), torch.device("cpu"))

    def __repr__(self) -> str:
        return f"Network({self.name})"


def _before_the_tokens_took_over(table: Sequence[LayerInfo]) -> LayerInfo:
    """The last but one of a transformer's blocks, or a layer at two thirds of its depth."""
    blocks = [info for info in table if info.layout.prefix and info.kind.endswith("Block")]
    return blocks[-2] if len(blocks) > 1 else table[2 * len(table) // 3]


def _ready(tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        raise InvalidArgument(
            f"a {tensor.dtype} tensor is not ready for a network; give a float tensor as the "
            "module takes it, or the picture itself as a path, PIL image or uint8 array"
        )
    if tensor.ndim != 4:
        raise InvalidArgument(
            f"a ready tensor is (image, channel, y, x), not {tuple(tensor.shape)}; "
            "a single image needs its batch axis: x[None]"
        )
    return tensor
