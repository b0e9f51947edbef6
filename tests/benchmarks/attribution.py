"""How fast attribution is, against a loop of Captum calls that gives the same numbers.

Run as ``python -m tests.benchmarks.attribution [rounds]``. Everything is measured in one run, on
the demo network; the loops are timed on a few of their calls, spread over the run, and multiplied.

The loop is what somebody with Captum alone would write: one ``LayerGradientXActivation`` per
target, and ``attribute(...).sum(1)``. For a class its forward function is the network itself; for a
position of a hidden layer it is a function that runs the network, reads the layer by a forward hook
and returns the norm of that position's vector. Nothing is stopped early, frozen or kept between
calls on the loop's side, and no call does work that another would not need; the time of building
the object is not counted. On our side, everything that ``attribute`` does is counted.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from captum.attr import LayerGradientXActivation
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks import attr, hooks
from captum_blocks.attr.head import fast_head, probe

SOURCE = "blocks.4.2.bn1"


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = perf_counter()
    answer = call()
    return perf_counter() - start, answer


def photograph(net: cb.Network) -> Tensor:
    from skimage import data

    return net.read(data.chelsea())


def spatial_target(module: nn.Module, layer: nn.Module, y: int, x: int) -> Callable[..., Tensor]:
    """The network as the norm of one position's activation vector."""

    def scores(images: Tensor) -> Tensor:
        with hooks.capture({"target": layer}) as seen:
            module(images)
        return seen["target"][:, :, y, x].norm(dim=1, keepdim=True)

    return scores


def report(what: str, slow: list[float], calls: int, fast: list[float], asked: float) -> None:
    loop, ours = statistics.median(slow) * calls, statistics.median(fast)
    print(
        f"{what}: loop of {calls} calls {loop:.2f} s, at once {ours:.3f} s, "
        f"{loop / ours:.1f} x (asked {asked:g} x)"
    )


def spatial_to_spatial(module: nn.Module, x: Tensor, target: str, rounds: int) -> None:
    source, layer = module.get_submodule(SOURCE), module.get_submodule(target)
    l2l = attr.LayerToLayerAttribution(module, SOURCE, target)
    slow, fast, worst = [], [], 0.0
    for step in range(rounds):
        for y, z in ((step % 7, 2), (3, step % 7), (6, 5)):
            plain = LayerGradientXActivation(spatial_target(module, layer, y, z), source)
            seconds, expected = timed(lambda p=plain: p.attribute(x, target=0).sum(1).detach())
            slow.append(seconds)
        seconds, found = timed(lambda: l2l.attribute(x, "spatial", "spatial"))
        fast.append(seconds)
        worst = max(worst, difference(found[:, 6, 5], expected))
    report(f"49 positions of {target} -> 196 of {SOURCE}", slow, 49, fast, 10)
    print(f"    largest relative difference {worst:.1e} (asked 1e-4)")


def spatial_to_classes(module: nn.Module, x: Tensor, rounds: int) -> None:
    plain = LayerGradientXActivation(module, module.get_submodule(SOURCE))
    l2l = attr.LayerToLayerAttribution(module, SOURCE)
    slow, fast, worst = [], [], 0.0
    for step in range(rounds):
        for target in (step, 207, 500 + step, 999):
            seconds, expected = timed(lambda t=target: plain.attribute(x, target=t).sum(1).detach())
            slow.append(seconds)
        seconds, found = timed(lambda: l2l.attribute(x, "class", "spatial"))
        fast.append(seconds)
        worst = max(worst, difference(found[:, 999], expected))
    report(f"196 positions of {SOURCE} -> 1000 classes", slow, 1000, fast, 25)
    print(f"    largest relative difference {worst:.1e} (asked 1e-4)")


def shapley(module: nn.Module, x: Tensor, layer_name: str, rounds: int) -> None:
    layer = module.get_submodule(layer_name)
    seen = probe(module, layer, layer_name, x)
    reducer = cb.ChannelReducer(n_components=6).fit(seen.activation)
    method = attr.GroupAttribution(module, layer, reducer)
    head = fast_head(module, layer, x, seen)
    rows = seen.activation.repeat(128, 1, 1, 1)
    passes, single, exact = [], [], []
    for _ in range(rounds):
        single.append(timed(lambda: head(rows[:1], [0]))[0])
        passes.append(timed(lambda: head(rows, [0]))[0])
        exact.append(timed(lambda: method.attribute(x, [207]))[0])
    alone, ours = statistics.median(passes), statistics.median(exact)
    print(
        f"exact Shapley values, 6 groups and residual at {layer_name}: {ours:.3f} s; 128 passes of "
        f"the head in batches {alone:.3f} s: {ours / alone:.2f} of their time (asked 1.2); one by "
        f"one {statistics.median(single) * 128:.2f} s"
    )


def difference(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def main(rounds: int = 5) -> None:
    net = cb.load_network("demo")
    module, x = net.module, photograph(net)
    print(f"{torch.get_num_threads()} threads, {rounds} rounds, medians")
    spatial_to_spatial(module, x, "bn2", rounds)
    spatial_to_spatial(module, x, "blocks.5.0.bn3", rounds)
    spatial_to_classes(module, x, max(1, rounds // 2))
    for layer_name in (SOURCE, "bn2"):
        shapley(module, x, layer_name, rounds)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
