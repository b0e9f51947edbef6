"""Which layers to look at when none are named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress

import torch
from torch import Tensor, nn

from captum_blocks.errors import UnusableLayer
from captum_blocks.hooks import replace, running, tapped
from captum_blocks.network.layers import LayerInfo
from captum_blocks.network.reach import Pair
from captum_blocks.network.readout import as_scores

BLOCKS = ("Block", "Layer")
Names = tuple[str, ...]
# No layer has this name.
PICTURE = ""


def recommended(
    table: Sequence[LayerInfo], beside: Callable[[Iterable[str]], set[str]] | None = None
) -> Names:
    """An early, a middle and a late layer; fewer where the network has no such three.

    Behind the nonlinearity where there are such layers in the later half: groups are parts that
    add up there. The late one is the last, the middle one the last with a grid twice as fine, the
    early one the last with a grid four times as fine. Of transformers, blocks at a third and two
    thirds of the depth and the last but one: behind the last block everything that decides may sit
    in the class token, which has no place in the photograph. Layers that run several times in one
    pass only where there are no others.

    Args:
        table: the layers of a network.
        beside: those of some layers that the network's answer does not depend on.
    """
    table = _with_places(table)
    table = [info for info in table if info.calls == 1] or table
    names = _early_middle_late(table)
    if beside is None or not beside(names):
        return names
    # One that is beside the answer is seldom alone: all are asked at once.
    apart = beside([info.name for info in table])
    return _early_middle_late([info for info in table if info.name not in apart])


def _with_places(table: Sequence[LayerInfo]) -> list[LayerInfo]:
    """Layers that are maps of the picture, as far as that is known.

    A guess is as good as its neighbours: a grid that no layer with tested places has is left out.
    """
    first = [info for info in table if min(info.grid) > 1 and not info.against]
    first = [info for info in first if not _is_second_choice(info, table)]
    known = {info.grid for info in first if info.places != "guessed"}
    return [info for info in first if not known or info.grid in known]


def _early_middle_late(table: Sequence[LayerInfo]) -> Names:
    if not table:
        return ()
    later = table[len(table) // 2 :]
    candidates = table
    if any(info.sign == ">= 0" for info in later):
        candidates = [info for info in table if info.sign == ">= 0"]
    last = candidates[-1]
    if last.layout.kind == "tokens":
        return _blocks(candidates, last)
    chosen = [_last_finer(candidates, last.grid, times) for times in (4, 2)]
    names = [info.name for info in (*chosen, last) if info is not None]
    return tuple(dict.fromkeys(names))


def _is_second_choice(info: LayerInfo, table: Sequence[LayerInfo]) -> bool:
    """Only moves numbers, or returns several maps, any of which may be used."""
    if info.kind == "Permute" or info.kind.startswith("Adaptive"):
        return True
    several = any(other.name.startswith(f"{info.name}:") for other in table)
    return several and not info.kind.endswith(BLOCKS)


def each_runs_again(table: Sequence[LayerInfo], names: Iterable[str]) -> tuple[str, ...]:
    """What the reader has to know of recommended layers that run several times in one pass."""
    several = {info.name: info.calls for info in table if info.name in names and info.calls > 1}
    if not several:
        return ()
    told = ", ".join(f"{name!r} {calls} times" for name, calls in several.items())
    return (
        f"every layer with positions runs several times in one pass ({told}): numbers are of the "
        "last call of each",
    )


def _last_finer(table: Sequence[LayerInfo], grid: Pair, times: int) -> LayerInfo | None:
    """The last layer whose grid is so many times as fine, both ways."""
    rows, columns = grid
    # One cell of slack: 4 x 7 is nearly twice 2 x 4.
    finer = [
        info
        for info in table
        if info.grid[0] >= times * rows - 1 and info.grid[1] >= times * columns - 1
    ]
    return finer[-1] if finer and finer[-1].grid != grid else None


def _blocks(table: Sequence[LayerInfo], last: LayerInfo) -> Names:
    blocks = [info for info in table if info.kind.endswith(BLOCKS)]
    inside = tuple(f"{info.name}." for info in blocks)
    blocks = [info for info in blocks if not info.name.startswith(inside)]
    blocks = blocks if len(blocks) > 1 else list(table)
    latest = max(0, len(blocks) - (2 if last.layout.n_unplaced else 1))
    places = sorted({min(latest, len(blocks) // 3), min(latest, 2 * len(blocks) // 3), latest})
    return tuple(blocks[place].name for place in places)


def beside_the_answer(
    network: nn.Module, layers: Mapping[str, nn.Module], noise: Tensor, names: Iterable[str]
) -> set[str]:
    """Layers whose output the scores do not depend on, by the gradient of a mixture of them.

    Args:
        network: returns (image, class); run once, in evaluation mode, and differentiated.
        layers: the modules by name, elements by the name of their module.
        noise: (image, ...), what it is run on.
        names: of the layers asked about.

    Returns:
        Empty where nothing can be said: the network cannot be differentiated, or its answer is
        no table of scores.

    >>> class Two(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.used, self.beside = nn.Linear(2, 2), nn.Linear(2, 2)
    ...     def forward(self, x):
    ...         return {"logits": self.used(x), "more": self.beside(x)}
    >>> both = Two()
    >>> beside_the_answer(both, dict(both.named_modules()), torch.ones(1, 2), ["used", "beside"])
    {'beside'}
    """
    wanted = list(names)
    modules = {name: layers[name.partition(":")[0]] for name in wanted}
    with suppress(RuntimeError, NotImplementedError, UnusableLayer):
        gradients = _gradients(network, modules, noise)
        reached = {name for name, gradient in gradients.items() if bool(gradient.any())}
        # Where nothing reaches the picture itself, gradients tell nothing.
        return set(wanted) - reached if PICTURE in reached else set()
    return set()


class _HandedOn(nn.Module):
    """Hands on a copy, whose gradient is what the rest of the network makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.last: Tensor | None = None

    def forward(self, tensor: Tensor) -> Tensor:
        copied = tensor.clone()
        self.last = copied if copied.requires_grad else None
        return copied


def _gradients(
    network: nn.Module, modules: Mapping[str, nn.Module], noise: Tensor
) -> dict[str, Tensor]:
    """The gradient at what each layer hands on, where there is one."""
    given = noise.detach().clone().requires_grad_()
    handed = {name: _HandedOn() for name in modules}
    with ExitStack() as opened, torch.enable_grad(), running(network):
        for name, module in modules.items():
            base, _, wanted = name.partition(":")
            looking = tapped(module, {wanted: handed[name]}, base) if wanted else None
            opened.enter_context(looking or replace(module, handed[name]))
        scores = as_scores(network(given), len(given), type(network).__name__)
    weights = torch.randn(scores.shape, generator=torch.Generator().manual_seed(0)).to(scores)
    outputs = {n: one.last for n, one in handed.items() if one.last is not None}
    outputs[PICTURE] = given
    found = torch.autograd.grad((scores * weights).sum(), list(outputs.values()), allow_unused=True)
    return {name: g for name, g in zip(outputs, found, strict=True) if g is not None}
