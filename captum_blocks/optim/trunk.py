"""A private, frozen copy of a network up to the layers one looks at, made fast.

Nothing behind the deepest layer runs, no weight asks for a gradient, convolutions swallow the
batch-norms behind them and their own padding, those of one pixel are matrix products, and tensors
are laid out channels last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from copy import copy
from hashlib import sha256

import torch
from torch import Tensor, nn

from captum_blocks._gradients import without_gradients
from captum_blocks.behaviour import STEADY, tried
from captum_blocks.convolutions import paddings, pointwise
from captum_blocks.errors import BlocksError, UnusableLayer
from captum_blocks.hooks import alone, capture, count_calls, run_until, together
from captum_blocks.layouts import Kind, Layout, picture_size, resolve
from captum_blocks.optim._behaviour import settings_of, sketch
from captum_blocks.optim.naming import OUTPUT, module_called
from captum_blocks.rewriting import (
    around,
    close,
    final_ceiling,
    foldings,
    is_hooked,
    keep_channels_last,
    keep_equivalent,
    keep_inputs,
    passing_copy,
    private_copy,
)
from captum_blocks.scores import choice, chosen, counted, table
from captum_blocks.wrappers import (
    can_be_hooked,
    check_differentiable,
    eagerly,
    stored,
    taking_a_picture,
)

Preprocess = Callable[[Tensor], Tensor]
Shape = tuple[int, ...]


class Trunk:
    """A network up to some of its layers, from pixels in [0, 1] to maps.

    Args:
        module: the network; it is copied and never changed.
        layers: names of the layers to look at; ``"output"``: what the network returns.
        example: pixels (1, channel, y, x) of a size the network can take.
        preprocess: pixels in [0, 1] -> what the module takes.
        layouts: layer layouts by name; found from the shapes where none is given.
        autocast: run in this type where autocast allows it.
        compiler: a backend of ``torch.compile``, e.g. ``"inductor"``; None: none.

    Attributes:
        fingerprint: a hash of the structure, code, settings and weights of what runs.
        behaviour: of what runs, preprocessing included, from pass to pass.
        choice: which of several tensors is what the network returns; empty for the only one.
        ceilings: of the ReLU6 that the deepest layer ends with, by layer name; mostly none.

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
        autocast: torch.dtype | None = None,
        compiler: str | None = None,
    ) -> None:
        self._preprocess = preprocess or _as_it_is
        self._layouts = dict(layouts or {})
        self._autocast = autocast
        self._names = tuple(layers)
        # Code that was compiled before knows nothing of the hooks that look at layers.
        self._way = eagerly if compiler is None else nullcontext
        self._network = private_copy(module)
        self._own_code = compiler is None and not any(map(is_hooked, self._network.modules()))
        weights = (tensor.dtype for tensor in self._network.parameters())
        self._dtype = next((kind for kind in weights if kind.is_floating_point), torch.float32)
        self._calls: dict[str, int] = {}
        self._alone = False  # whether pictures go through one by one
        self.ceilings: dict[str, float] = {}
        self.choice = ""
        self._example = example
        self._settled: dict[str, nn.Module] = {}
        with without_gradients():
            self._calls = self._count(example)
            self.fingerprint = self._fingerprint(example)
            self._answer = self.answers(module, example)
            self._make_fast(example)
        self._settled = self._layers
        self.behaviour = tried(self._outputs, example) or STEADY
        if compiler is not None:
            for part in around(self._network, self._layers.values()):
                part.compile(backend=compiler)

    def __call__(self, pixels: Tensor, lifted: bool = False) -> dict[str, Tensor]:
        """Pixels (n, channel, y, x) in [0, 1] -> maps (n, channel, y, x) by layer name.

        Args:
            pixels: any size the network can take.
            lifted: without the ceiling of a ReLU6 that the deepest layer may end with.
        """
        maps = {}
        rows = [self._ready(each) for each in self._batches(pixels)]
        for name, output in together([self._run(ready) for ready in rows]).items():
            told, module = self._layouts.get(name), self._layers[name]
            layout = resolve(told, output.shape, picture_size(rows[0]), module)
            # Scores divide and square: half precision overflows where the maps do not.
            wide = torch.promote_types(output.dtype, torch.float32)
            maps[name] = layout.to_maps(output).to(wide)
            if name in self.ceilings and not lifted:
                maps[name] = maps[name].clamp(max=self.ceilings[name])
        return maps

    def shapes(self, example: Tensor) -> dict[str, Shape]:
        """(channel, y, x) of each layer's maps for pixels of this size.

        Raises:
            UnusableLayer: the network cannot take this size.
        """
        with without_gradients(), _explained(self._network, example):
            return {name: tuple(maps.shape[1:]) for name, maps in self(example).items()}

    def bytes_per_image(self, example: Tensor) -> int:
        """What a forward pass of one image keeps for its backward pass."""
        kept: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, _as_it_is):
            self._outputs(example.detach().clone().requires_grad_())
        weights = {tensor.data_ptr() for tensor in self._network.parameters()}
        return sum(size for pointer, size in kept.items() if pointer not in weights)

    @property
    def bytes_of_weights(self) -> int:
        """What a copy of the network takes."""
        held = (*self._network.parameters(), *self._network.buffers())
        return sum(part.nbytes for tensor in held for part in stored(tensor))

    @property
    def divisible(self) -> bool:
        """Whether two copies, in two threads, do together what one does.

        Hooks of the user's may share what they keep, and accelerators have threads of their own.
        """
        on_processor = self._example.device.type == "cpu"
        return on_processor and self._own_code and self.behaviour == STEADY and not self._alone

    def copy(self) -> Trunk:
        """Another one that computes the same, for another thread."""
        made = copy(self)
        made._network = private_copy(self._network)
        made._settled = {}
        made._settled = made._layers
        return made

    def answers(self, module: nn.Module, example: Tensor) -> str:
        """What the layers of a network like this one answer to a picture, in short.

        The network itself is not run and draws from no generator of the caller's.
        """
        copied = passing_copy(module)
        layers = {name: module_called(copied, name) for name in self._names}
        devices = [example.device] if example.device.type == "cuda" else []
        with without_gradients(), torch.random.fork_rng(devices), _explained(copied, example):
            torch.default_generator.manual_seed(0)
            ready = self._ready(example)
            with eagerly(), self._precision(ready.device):
                return sketch(run_until(copied, layers, ready, calls=self._calls))

    def is_of(self, module: nn.Module) -> bool:
        """Whether a network still answers as the one that was copied did."""
        try:
            return self.answers(module, self._example) == self._answer
        except BlocksError:
            return False

    @property
    def _layers(self) -> dict[str, nn.Module]:
        """Looked for anew as long as modules are exchanged."""
        return self._settled or {name: module_called(self._network, name) for name in self._names}

    def _outputs(self, pixels: Tensor) -> dict[str, Tensor]:
        return self._run(self._ready(pixels))

    def _batches(self, pixels: Tensor) -> Iterator[Tensor]:
        """Pictures that may go together: one at a time where they would change each other."""
        if not self.behaviour.apart:
            yield pixels
            return
        for row in range(len(pixels)):
            yield pixels[row : row + 1]

    def _ready(self, pixels: Tensor) -> Tensor:
        # Preprocessing and network may write to what they are given.
        ready = self._preprocess(pixels.clone())
        return ready.to(self._dtype, memory_format=torch.channels_last)

    def _run(self, ready: Tensor) -> dict[str, Tensor]:
        with alone(self._network), self._way(), self._precision(ready.device):
            if not self._alone:
                try:
                    return self._seen(ready)
                except Exception:
                    if len(ready) == 1 or not self._takes_one(ready[:1]):
                        raise
                    self._alone = True
            runs = [self._seen(row) for row in ready.split(1)]
            return {name: torch.cat([run[name] for run in runs]) for name in runs[0]}

    def _takes_one(self, ready: Tensor) -> bool:
        """Whether the network takes a single picture, where it did not take several."""
        with suppress(Exception), without_gradients():
            return bool(self._seen(ready))
        return False

    def _seen(self, ready: Tensor) -> dict[str, Tensor]:
        if OUTPUT not in self._names:
            return run_until(self._network, self._layers, ready, calls=self._calls)
        layers = {name: layer for name, layer in self._layers.items() if name != OUTPUT}
        with capture(layers) as seen:
            output = self._network(ready)
        images, name = len(ready), self._network._get_name()
        self.choice = choice(output, images, name) or ""
        answer = chosen(output, images, name)
        # Scores, or maps of them.
        whole = answer if answer.ndim == 4 else table(answer, images, name)
        return {**seen, OUTPUT: counted(whole, images, name)}

    def _precision(self, device: torch.device) -> torch.autocast | nullcontext[None]:
        if self._autocast is None:
            return nullcontext()
        return torch.autocast(device.type, self._autocast)

    def _count(self, example: Tensor) -> dict[str, int]:
        """How often the whole network calls each layer: it is looked at on its last call."""
        with self._way(), count_calls(self._layers) as counts, suppress(Exception):
            # A head that cannot take this size does not matter: it is behind the layers.
            self._network(self._ready(example))
        return {name: max(1, count) for name, count in counts.items()}

    def _fingerprint(self, example: Tensor) -> str:
        parts = self._network.named_modules()
        modules = {name: module for name, module in parts if can_be_hooked(module)}
        with _explained(self._network, example), count_calls(modules) as counts:
            self._outputs(example)
        called = {name for name, count in counts.items() if count}
        check_differentiable(self._network, [modules[name] for name in called])
        return fingerprint(self._network, called)

    def _make_fast(self, example: Tensor) -> None:
        expected = self._outputs(example)

        def equivalent() -> bool:
            with suppress(RuntimeError, BlocksError):
                found = self._outputs(example)
                return all(close(found[name], expected[name]) for name in expected)
            return False

        keep_channels_last(self._network)
        keep_inputs(self._network)
        for edits in (foldings, paddings, pointwise):
            keep_equivalent(edits(self._network, self._layers.values()), equivalent)
        self._lift_ceiling(example, list(expected)[-1], expected)

    def _lift_ceiling(self, example: Tensor, name: str, expected: Mapping[str, Tensor]) -> None:
        """Take the ceiling off the deepest layer's last rectifier, if it is what comes last."""
        found = final_ceiling(self._network, self._layers[name])
        if found is None:
            return
        edits, ceiling = found
        undo = [edit.apply() for edit in edits]
        outputs = self._outputs(example)
        outputs[name] = outputs[name].clamp(max=ceiling)
        if all(close(outputs[other], expected[other]) for other in expected):
            self.ceilings[name] = ceiling
            return
        for edit in undo:
            edit.apply()


def fingerprint(network: nn.Module, called: set[str]) -> str:
    """A hash of the structure, code, settings and weights of the part of a network that has run.

    Args:
        network: the network.
        called: names of the modules that returned.
    """
    digest = sha256()
    for name, part in sorted(_used(network, called).items()):
        digest.update(f"{name} {type(part).__module__}.{type(part).__qualname__}".encode())
        digest.update(settings_of(part).encode())
        for own, tensor in (
            *part.named_parameters(recurse=False),
            *part.named_buffers(recurse=False),
        ):
            digest.update(f"{own} {tuple(tensor.shape)} {tensor.dtype}".encode())
            for numbers in stored(tensor.detach()):
                flat = numbers.cpu().contiguous().flatten()
                digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _used(network: nn.Module, called: set[str]) -> dict[str, nn.Module]:
    """What ran, what contains it, and whatever may have been used without being called."""
    modules = dict(network.named_modules(remove_duplicate=False))
    used: dict[str, nn.Module] = {}
    for name in called:
        # A module may use its children's weights itself, as attention does: all count as used.
        inside = modules[name].named_modules(prefix=name) if name else network.named_modules()
        used.update(inside)
        pieces = name.split(".")
        for depth in range(len(pieces)):
            above = ".".join(pieces[:depth])
            used[above] = modules[above]
    return used


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor


@contextmanager
def _explained(network: nn.Module, example: Tensor) -> Iterator[None]:
    """Turns what a network raises on a picture it cannot take into an ``UnusableLayer``."""
    try:
        with taking_a_picture(network):
            yield
    except BlocksError:
        raise
    except Exception as error:
        size, channels = "x".join(map(str, example.shape[2:])), example.shape[1]
        raise UnusableLayer(
            f"{type(network).__name__} cannot take an image of {size} pixels, "
            f"{channels} channel{'s' * (channels != 1)} ({error}); "
            "give the size and the channels it was trained with"
        ) from error
